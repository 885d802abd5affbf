"""The page about insights: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path
from typing import get_args

import pytest

from corral.handlers.insights import GenerateInsights, InsightsSettings
from corral.handlers.insights.findings import Kind

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "insights.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def first_cells(title: str) -> set[str]:
    """What stands in the first column of a section's table."""
    lines = [line for line in PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    return {word for line in lines for word in re.findall(r"`([^`]+)`", line.strip("|").split("|")[0])}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "insights.md", "exec"), {"__name__": "example"})

    assert capsys.readouterr().out.splitlines() == re.findall(r"^# -> (.*)$", example, flags=re.MULTILINE)


def test_every_setting_is_in_the_table() -> None:
    assert first_cells("Settings") == {name.upper() for name in InsightsSettings.model_fields}


def test_every_field_of_the_payload_is_in_the_table() -> None:
    assert first_cells("The payload") == {str(field.alias) for field in GenerateInsights.model_fields.values()}


def test_every_kind_of_finding_is_in_the_table() -> None:
    assert first_cells("What is found") == set(get_args(Kind))
