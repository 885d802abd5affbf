"""The page about health: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest

from corral.handlers.health import JOBS, CheckHealth, HealthSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "health.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def words(title: str, pattern: str) -> set[str]:
    """What stands in the first cells of a section's table."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {word for cell in cells for word in re.findall(f"`({pattern})`", cell)}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    exec(compile(example, "health.md", "exec"), {"__name__": "example"})


def test_every_setting_is_in_the_table() -> None:
    assert words("Settings", "[A-Z_]+") == {name.upper() for name in HealthSettings.model_fields}


def test_every_field_is_in_the_table() -> None:
    assert words("The payload", r"\w+") == {str(field.alias) for field in CheckHealth.model_fields.values()}


def test_every_job_is_named() -> None:
    assert f"The job is `{JOBS[0]}` on the queue `health`" in PAGE
