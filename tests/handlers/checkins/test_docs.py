"""The page about checkins: its examples run, and its tables leave nothing out."""

from typing import get_args

from corral.app.app import Corral
from corral.handlers.checkins import CheckinsSettings, Kind, ProcessCheckin, bundle
from corral.handlers.kit.database import Database
from corral.testing import app_in_memory, drain
from tests.handlers.pages import Page, variables

PAGE = Page("checkins")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(CheckinsSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == tuple(one.name for one in bundle(database=Database("sqlite:///app.db")))


def test_every_field_of_a_check_in_is_in_the_table() -> None:
    known = {str(field.alias) for field in ProcessCheckin.model_fields.values()}
    assert PAGE.cells("The payloads") == known


def test_every_insight_is_in_the_table() -> None:
    assert set(get_args(Kind)) == PAGE.cells("What comes of it") - {"checkin", "checkin-insights"}


async def test_the_job_of_the_first_example_runs() -> None:
    names = PAGE.run()
    app, database, add = names["app"], names["database"], names["answer"]
    assert isinstance(app, Corral)
    assert isinstance(database, Database)
    async with app_in_memory(app), database:
        await add()  # type: ignore[operator]
        assert (await drain(app)).completed == 1
