"""The page about the clean-up: its example runs, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.handlers.cleanup import JOBS, Clean, CleanupSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "cleanup.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def rows(title: str) -> list[str]:
    """The first cells of a section's table."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs_and_declares_the_four_schedules(example: str) -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "cleanup.md", "exec"), names)
    app = names["app"]
    assert isinstance(app, Corral)
    assert [one.key for one in app.schedules.declared()] == [
        "expired-tokens",
        "old-logs",
        "temp-files",
        "old-artifacts",
    ]


def test_every_setting_is_in_the_table() -> None:
    told = {word for cell in rows("Settings") for word in re.findall(r"`([A-Z_]+)`", cell)}
    assert told == {name.upper() for name in CleanupSettings.model_fields}


def test_every_field_is_in_the_table() -> None:
    told = {word for cell in rows("The payload") for word in re.findall(r"`(\w+)`", cell)}
    assert told == {field.alias for field in Clean.model_fields.values()}


def test_every_job_is_named() -> None:
    sentence = PAGE.split("The jobs are ")[1].split(" on the queue")[0]
    assert tuple(re.findall(r"`([^`]+)`", sentence)) == JOBS
