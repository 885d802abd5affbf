"""The page about e-mail: its examples run, and its tables leave nothing out."""

import inspect
import re
from pathlib import Path

import pytest
from pydantic import AliasChoices

from corral.app.app import Corral
from corral.errors import PayloadError
from corral.handlers.email import JOBS, EmailSettings, preview
from corral.handlers.email.templates import built_in
from corral.storage.connect import connect

from .desk import Desk

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "handlers" / "email.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    exec(compile(example, "email.md", "exec"), {"__name__": "example"})


async def test_the_job_in_the_last_example_sends_its_mail(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLES[-1], "email.md", "exec"), names)
    app = names["app"]
    assert isinstance(app, Corral)
    definition = app.definition("invitations", "invite")

    async with connect("sqlite:///:memory:") as store:
        result = await Desk(store, "invitations", [definition]).send(
            {"address": "ann@example.org", "team": "Rowing"}, "invite"
        )

    assert "You are invited to Rowing." in (tmp_path / result["response"]).read_text()


def test_every_setting_is_in_the_table() -> None:
    known = set()
    for name, field in EmailSettings.model_fields.items():
        alias = field.validation_alias
        known |= set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {name.upper()}

    assert {word for cells in rows("Settings") for word in words(cells[0])} == known


def test_every_job_name_is_named() -> None:
    assert tuple(words(PAGE.split("The jobs are ")[1].split(" on the queue")[0])) == JOBS


def test_every_template_is_in_the_table() -> None:
    assert sorted(words(cells[0])[0] for cells in rows("Templates")) == list(built_in().names)


@pytest.mark.parametrize("cells", rows("Templates"))
def test_a_template_needs_what_the_table_says_and_knows_what_it_may_have(cells: list[str]) -> None:
    name, needed, possible = words(cells[0])[0], words(cells[1]), words(cells[2])
    instead = words(" ".join(re.findall(r"\(or .*?\)", cells[1])))
    values: dict[str, object] = {"kudosCount": 25, "topPerformers": ["Alice"], "failed": 1, "passed": 2}
    needs = {key: "https://example.org" if key.endswith("Url") else values.get(key, "x") for key in needed}
    source = (Path(inspect.getfile(preview)).parent / "templates" / f"{name}.html").read_text()

    preview(name, needs)
    assert [key for key in possible if key not in source] == []
    without = {key: value for key, value in needs.items() if key not in (needed[0], *instead)}
    with pytest.raises(PayloadError, match=f"'{needed[0]}' is undefined"):
        preview(name, without)
