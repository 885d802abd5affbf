"""The page about reports: its examples run, and its tables leave nothing out."""

import re
from datetime import date
from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.handlers.kit.database import Database
from corral.handlers.reports import (
    EXPECTED_SECONDS,
    FORMATS,
    PAYLOADS,
    Period,
    ReportPayload,
    ReportSettings,
    Request,
    render,
)
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .samples import NOW, request

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "reports.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith(("| Job |", "| Field", "| Source", "| Variable"))
    ]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def executed(example: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "reports.md", "exec"), names)
    return names


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    executed(example)


async def test_the_job_of_the_first_example_makes_its_report(memory: Storage, tmp_path: Path) -> None:
    names = executed(EXAMPLES[0])
    app, database = names["app"], names["database"]
    assert isinstance(app, Corral)
    assert isinstance(database, Database)
    monday = names["monday"]
    assert isinstance(monday, ReportPayload)

    async with database:
        desk = Desk(memory, "reports", [app.definition("reports", "weekly-report")])
        result = await desk.send(monday.model_dump(mode="json", exclude_defaults=True), "weekly-report")

    assert result["title"] == "Weekly team report"
    assert [path.suffix for path in sorted((tmp_path / "reports").rglob("*.*"), key=lambda path: path.suffix)] == [
        ".html",
        ".pdf",
    ]


async def test_the_source_of_the_second_example_makes_every_format() -> None:
    stock = executed(EXAMPLES[1])["stock"]
    document = await stock(request())  # type: ignore[operator]

    for form in FORMATS:
        assert render(document, form, made_at=NOW).body


def test_the_third_example_writes_its_files(tmp_path: Path) -> None:
    executed(EXAMPLES[2])

    assert {path.name for path in tmp_path.iterdir()} >= {"hello.html", "hello.pdf", "hello.xlsx"}


def test_every_setting_is_in_the_table() -> None:
    assert {words(cells[0])[0] for cells in rows("Settings")} == {name.upper() for name in ReportSettings.model_fields}


def test_every_job_is_in_the_table_with_what_it_must_have() -> None:
    found = {name: words(cells[1])[0] for cells in rows("The payloads") for name in words(cells[0]) if len(cells) == 4}

    assert found == {**{name: model.__name__ for name, model in PAYLOADS.items()}, "expired-reports": "ExpiredReports"}
    for cells in rows("The payloads"):
        model = PAYLOADS.get(words(cells[0])[0])
        if model is not None:
            needed = {field.alias for field in model.model_fields.values() if field.is_required()}
            assert needed == set() if cells[2].startswith("nothing") else needed == set(words(cells[2]))


def test_every_common_field_is_in_the_table() -> None:
    found = {word for cells in rows("The payloads") if len(cells) == 2 for word in words(cells[0])}

    assert found == {field.alias for field in ReportPayload.model_fields.values()}


@pytest.mark.mission("M-GL-25")
def test_the_expected_times_are_those_of_the_table() -> None:
    assert {words(cells[0])[0]: float(cells[1]) for cells in rows("Results")} == EXPECTED_SECONDS


def test_a_late_job_is_about_the_days_before_its_slot() -> None:
    asked: Request[ReportPayload] = request()

    assert asked.payload.days(date(2025, 10, 6)) == Period(date(2025, 9, 6), date(2025, 10, 5))
