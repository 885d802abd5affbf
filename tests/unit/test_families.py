"""Every family of handlers and every platform is whole: code, a page in the documents, tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = sorted(
    path.name
    for path in (ROOT / "src/corral/handlers").iterdir()
    if path.is_dir() and path.name not in ("kit", "__pycache__")
)
PLATFORMS = sorted(path.parent.name for path in (ROOT / "examples").glob("*/app.py"))
PARTS = (
    "README.md", "pyproject.toml", "corral.toml", "app.py", "jobs.py", "schedules.py", "api.py", "build.py",
    "settings.py", "demo.py",
)  # fmt: skip


def source(*parts: str) -> ast.Module:
    return ast.parse(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def page(*parts: str) -> str:
    return ROOT.joinpath("docs", *parts).read_text(encoding="utf-8")


def exported(family: str) -> list[str]:
    """What the family's `__all__` says."""
    for node in source("src/corral/handlers", family, "__init__.py").body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def extras(family: str) -> set[str]:
    """The extras that the family asks for before it imports anything."""
    text = (ROOT / "src/corral/handlers" / family / "__init__.py").read_text(encoding="utf-8")
    named = set(re.findall(r'^need\("(\w+)"', text, re.MULTILINE))
    return named or ({family} if "need()" in text else set())  # pipelines need none


def modules_of(family: str) -> list[Path]:
    folder = ROOT / "tests/handlers"
    return [*folder.glob(f"{family}/test_*.py"), *folder.glob(f"test_{family}_*.py")]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_bundle_and_says_what_is_public(family: str) -> None:
    functions = {
        node.name: node
        for node in source("src/corral/handlers", family, "bundle.py").body
        if isinstance(node, ast.FunctionDef)
    }
    assert "bundle" in functions
    returns = functions["bundle"].returns
    assert isinstance(returns, ast.Name)
    assert returns.id == "Bundle"
    assert "bundle" in exported(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_page_that_the_indexes_name_and_that_names_its_extra(family: str) -> None:
    text = page("handlers", f"{family}.md")
    assert f"handlers/{family}\n" in page("index.md")
    assert f"(handlers/{family}.md)" in page("README.md")
    assert extras(family) <= {
        extra for named in re.findall(r"pip install 'corral\[([a-z,]+)\]'", text) for extra in named.split(",")
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_tests_and_one_of_them_runs_its_page(family: str) -> None:
    names = [path.name for path in modules_of(family)]
    assert len(names) >= 3
    assert any(name.endswith("docs.py") for name in names)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_that_stores_migrates_and_a_test_compares(family: str) -> None:
    folder = ROOT / "src/corral/handlers" / family
    stores = (folder / "tables.py").exists()
    assert bool(list(folder.glob("migrations/versions/*.py"))) is stores
    assert any("differences(" in path.read_text(encoding="utf-8") for path in modules_of(family)) is stores


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_has_all_its_parts_and_a_page(platform: str) -> None:
    folder = ROOT / "examples" / platform
    assert [name for name in PARTS if not (folder / name).exists()] == []
    assert f"guides/{platform}\n" in page("index.md")
    assert f"(guides/{platform}.md)" in page("README.md")
    assert list(folder.glob("tests/test_*.py")) or list((ROOT / "tests/examples").glob(f"test_{platform}*.py"))
