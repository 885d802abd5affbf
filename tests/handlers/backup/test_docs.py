"""The page about backups: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest

from corral.handlers.backup import JOBS, BackupSettings, MakeBackup, VerifyBackups

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "backup.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def words(title: str, pattern: str) -> set[str]:
    """What stands in the first cells of a section's table."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {word for cell in cells for word in re.findall(f"`({pattern})`", cell)}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    exec(compile(example, "backup.md", "exec"), {"__name__": "example"})


def test_every_setting_is_in_the_table() -> None:
    assert words("Settings", "[A-Z_]+") == {name.upper() for name in BackupSettings.model_fields}


def test_every_field_is_in_the_table() -> None:
    fields = [*MakeBackup.model_fields.values(), *VerifyBackups.model_fields.values()]
    assert words("The payloads", r"\w+") == {str(field.alias) for field in fields}


def test_every_job_is_named() -> None:
    sentence = PAGE.split("The jobs are ")[1].split(" on the queue")[0]
    assert tuple(re.findall(r"`([^`]+)`", sentence)) == JOBS
