"""Files and folders of a certain age."""

import os
from pathlib import Path

from corral.handlers.cleanup.files import Order, sweep
from corral.handlers.cleanup.outcome import Tally
from corral.handlers.cleanup.rules import FileRule
from corral.timing import now_ms

#: What is made while the tests run is new.
NOW_MS = now_ms()
DAY = 86_400


def old_file(path: Path, content: str = "12345", *, days: float = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return aged(path, days=days)


def aged(path: Path, *, days: float = 40) -> Path:
    then_ns = (NOW_MS - round(days * DAY * 1_000)) * 1_000_000
    os.utime(path, ns=(then_ns, then_ns), follow_symlinks=False)
    return path


def age_folders(root: Path, *, days: float = 40) -> None:
    for path in [root, *root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            aged(path, days=days)


def run(
    rule: FileRule, *, limit: int = 10_000, dry_run: bool = False, said: list[str] | None = None, now: int = NOW_MS
) -> Tally:
    lines = [] if said is None else said
    return sweep(Order(rule, now - rule.older_ms, limit, dry_run, lambda: None, lines.append))


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
