"""The page about alerts: its examples run, and its tables leave nothing out."""

import pytest

from corral.app.app import Corral
from corral.handlers.alerts import AlertSettings, RaiseAlert, bundle
from corral.handlers.kit.database import Database
from corral.testing import app_in_memory, drain
from tests.handlers.pages import Page, variables

PAGE = Page("alerts")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(AlertSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == tuple(one.name for one in bundle(database=Database("sqlite:///app.db")))


def test_every_field_is_in_the_table() -> None:
    assert PAGE.cells("The payload") == {str(field.alias) for field in RaiseAlert.model_fields.values()}


async def test_the_job_of_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = PAGE.run()
    app, database, add = names["app"], names["database"], names["notice"]
    assert isinstance(app, Corral)
    assert isinstance(database, Database)
    async with app_in_memory(app), database:
        await add()  # type: ignore[operator]
        assert (await drain(app)).completed == 1
        await names["take_care"]()  # type: ignore[operator]
    assert "HIGH Revenue dropped 50% from yesterday" in capsys.readouterr().out
