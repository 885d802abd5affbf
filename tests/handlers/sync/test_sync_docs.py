"""The page about the data sync: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices

from corral.handlers.sync import METRICS, PLATFORMS, SyncData, SyncSettings
from corral.handlers.sync.access import NEEDS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "sync.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "sync.md", "exec"), {"__name__": "example"})

    assert capsys.readouterr().out.splitlines() == re.findall(r"^# -> (.*)$", example, flags=re.MULTILINE)


def test_every_setting_is_in_the_table() -> None:
    known = set()
    for name, field in SyncSettings.model_fields.items():
        alias = field.validation_alias
        known |= set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {name.upper()}

    assert {word for cells in rows("Settings") for word in words(cells[0])} == known


def test_every_field_of_the_payload_is_in_the_table() -> None:
    known = {str(field.alias) for field in SyncData.model_fields.values()}

    assert {word for cells in rows("The payload") for word in words(cells[0])} == known
    assert set(PLATFORMS) <= {word for cells in rows("The payload") for word in words(cells[1])}


def test_every_metric_is_in_the_table() -> None:
    told = {cells[0]: tuple(words(cells[1])) for cells in rows("What is fetched") if cells[0] in METRICS}

    assert told == METRICS


def test_every_platform_says_what_it_needs() -> None:
    told = {cells[0]: (set(words(cells[1])), set(words(cells[2]))) for cells in rows("Integrations and their keys")[1:]}

    assert told == {name: (set(needs.target), set(needs.secrets)) for name, needs in NEEDS.items()}
