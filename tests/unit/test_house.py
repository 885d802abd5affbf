"""The house rules that a program can check. Each failure says what to change."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from corral import _version
from corral.job import JobState
from corral.outcome import Outcome
from corral.storage import port
from corral.storage.insight import Insight
from corral.storage.records import Records

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "src" / "corral"
CODE = ("src", "tests", "examples", "benchmarks", "docs")
LONGEST = 500

#: The two places that must outlive anything a handler or a round of maintenance can raise.
CATCH_ALL = {"worker/executor.py", "worker/upkeep.py"}
#: What an application is built from; a platform that needs more has found a hole in the public API.
PUBLIC = {
    "corral", "corral.admin", "corral.alerts", "corral.compat", "corral.dashboard", "corral.handlers", "corral.http",
    "corral.monitor", "corral.observe", "corral.outbox", "corral.sync", "corral.testing",
}  # fmt: skip


def files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and path.is_file() and not {"_build", "node_modules"} & set(path.parts)
    )


def library() -> list[tuple[Path, ast.Module]]:
    return [(path.relative_to(LIBRARY), ast.parse(path.read_text())) for path in files("src/corral")]


def pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]  # TOML is untyped


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def package_name(requirement: object) -> str:
    return re.split(r"[\[<>=;~! ]", str(requirement), maxsplit=1)[0]


# -- code --------------------------------------------------------------------------------------------------------------


def test_imports_go_downwards_and_each_library_has_one_place_that_knows_it() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in files(*CODE, suffixes=(".py", ".sql", ".html"))}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path, tree in library() if not ast.get_docstring(tree)] == []


def test_every_public_class_and_function_of_a_module_has_a_docstring() -> None:
    bare = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in library()
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert bare == []


def catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in caught)


def test_only_the_executor_and_upkeep_catch_every_exception() -> None:
    greedy = [
        f"{path}:{node.lineno}"
        for path, tree in library()
        if path.as_posix() not in CATCH_ALL
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert greedy == []


def test_no_import_exists_for_the_type_checker_alone() -> None:
    assert [str(path) for path in files("src/corral") if "TYPE_CHECKING" in path.read_text()] == []


def test_inside_the_house_nobody_uses_the_front_door() -> None:
    guests = [str(path) for path, tree in library() if "corral" in imported(tree)]
    assert guests == [], "import from the submodule: the package's root is for its users"


def test_the_examples_need_nothing_but_the_public_api() -> None:
    needed = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in files("examples")
        for module in imported(ast.parse(path.read_text()))
        if module.split(".")[0] == "corral" and ".".join(module.split(".")[:2]) not in PUBLIC
    }
    assert needed == set()


def test_nothing_is_left_for_later() -> None:
    owed = re.compile(
        "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", r"noqa: ?C90" + "1", "NotImplemented" + "Error"))
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files(*CODE, "deploy", suffixes=(".py", ".sql", ".md", ".html", ".yaml", ".service"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if owed.search(line)
    ]
    assert found == []


# -- package -----------------------------------------------------------------------------------------------------------


def test_the_core_needs_these_eight_libraries_and_no_others() -> None:
    dependencies = pyproject()["dependencies"]
    assert [package_name(entry) for entry in dependencies] == [
        "apsw", "click", "cronsim", "msgspec", "pydantic", "pydantic-settings", "rich", "tzdata",
    ]  # fmt: skip


def test_the_extra_all_contains_every_run_time_extra() -> None:
    extras = pyproject()["optional-dependencies"]
    for_development = {"all", "bench", "dev", "docs", "interop", "lint", "test"}
    everything = ",".join(sorted(extras.keys() - for_development))
    assert extras["all"] == [f"corral[{everything}]"]


def test_the_changelog_opens_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == _version.__version__


# -- documents ---------------------------------------------------------------------------------------------------------


def test_the_house_law_fits_on_one_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 130


def verbs() -> list[str]:
    own = (port.Dispatch, port.Commands, port.Queries, port.Schedules, port.EventLog, port.Storage)
    parts = (*own, Insight, Records)
    return [name for part in parts for name in vars(part) if not name.startswith("_")]


def test_the_port_has_at_most_thirty_nine_verbs_and_its_page_explains_each() -> None:
    page = (ROOT / "docs" / "internals" / "port.md").read_text()
    assert len(verbs()) <= 39
    assert [verb for verb in verbs() if f"`{verb}`" not in page] == []


def test_the_page_of_states_knows_every_state_and_every_outcome() -> None:
    page = (ROOT / "docs" / "internals" / "states.md").read_text()
    words = [state.value for state in JobState] + [outcome.__name__ for outcome in Outcome.__args__]
    assert [word for word in words if f"`{word}`" not in page] == []


def test_no_document_links_to_a_file_that_is_not_there() -> None:
    pages = [*ROOT.glob("*.md"), *files("docs", "deploy", "examples", "benchmarks", suffixes=(".md",))]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not re.match(r"[a-z]+:", target)
    ]
    assert [
        f"{page.relative_to(ROOT)}: {target}" for page, target in links if not (page.parent / target).exists()
    ] == []
