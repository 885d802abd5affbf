"""Each platform is a project of its own: its wheel holds all it needs, and the commands of its README run there."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from examples.demo.stage import platforms

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MISSING = [name for name in ("hatchling", "pip") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(MISSING), reason=f"a wheel is built by {' and '.join(MISSING)}, which is not installed"),
]

#: What the demo and the tests need and an installed platform does not.
LEFT_OUT = re.compile(r"^\w+/(demo|pretend)\.py$|/tests/|__pycache__")
#: Where the HTTP side is, for `uvicorn`.
SERVED = {"aibackend": "aibackend.server"}
#: A job that needs the platform's own tables, or a template.
JOBS = {
    "aibackend": ("email", "send-welcome", {"userId": "user-1"}),
    "bizinsights": (
        "email-sending", "email-sending",
        {"to": "ann@example.com", "subject": "Hello", "template": "welcome", "data": {"name": "Ann"}},
    ),
    "golive": ("email", "welcome", {"to": "ann@example.com", "context": {"username": "Ann"}}),
    "teamspark": (
        "calculate-metrics", "engagement-metrics",
        {"organizationId": "org-1", "metricType": "engagement", "period": "weekly"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("platform", platforms())
def test_each_platform_is_built_installed_and_started_as_its_readme_says(platform: str, tmp_path: Path) -> None:
    copy, site = tmp_path / platform, tmp_path / "site"
    shutil.copytree(EXAMPLES / platform, copy, ignore=shutil.ignore_patterns("__pycache__"))
    install, *commands = _copied(platform)
    assert install == ["pip", "install", "."]

    _run(
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(tmp_path),
        ".",
        at=copy,
    )
    [wheel] = tmp_path.glob("*.whl")
    assert _expected(copy) == {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    _run("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel), at=copy)

    # Of the copy only its settings stay: whatever else is needed must come from the wheel.
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(copy / "corral.toml", home)
    shutil.rmtree(copy)
    seed, worker = commands
    assert seed == ["python", "-m", f"{platform}.seed"]
    assert worker == ["corral", "worker"]
    assert _run(*seed[1:], at=home, site=site)
    queue, name, data = JOBS[platform]
    _run("-m", "corral.cli", "add", queue, name, json.dumps(data), at=home, site=site)
    _run("-m", "corral.cli", "worker", "--burst", at=home, site=site)
    listed = _run("-m", "corral.cli", "jobs", "list", "--queue", queue, "--json", "name,state", at=home, site=site)
    assert {"name": name, "state": "completed"} in json.loads(listed), listed
    served = SERVED.get(platform, f"{platform}.api")
    found = _run("-c", f"import {served} as side; print(side.__file__, side.api.title)", at=home, site=site)
    assert found.startswith(str(site))


def _copied(platform: str) -> list[list[str]]:
    """The commands below "Copy it"."""
    part = (EXAMPLES / platform / "README.md").read_text(encoding="utf-8").partition("\n## Copy it\n")[2]
    [block] = re.findall(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


def _expected(copy: Path) -> set[str]:
    """All code and data of the folder, by the names they have in the wheel."""
    names = (path.relative_to(copy.parent).as_posix() for path in copy.rglob("*") if path.is_file())
    data = {".py", ".json", ".html", ".txt", ".sql"}
    return {
        name for name in names
        if Path(name).suffix in data and not LEFT_OUT.search(name) and not name.endswith("ecosystem.config.json")
    }  # fmt: skip


def _run(*arguments: str, at: Path, site: Path | None = None) -> str:
    path = [*([str(site)] if site else []), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    # What is found below the repository would be found in its place.
    path = [one for one in path if one and Path(one).resolve() != EXAMPLES.parent]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(path), "JWT_SECRET": "s" * 32, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
