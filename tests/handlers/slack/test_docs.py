"""The page about slack: its examples run, and its tables leave nothing out."""

from corral.app.app import Corral
from corral.handlers.kit.database import Database
from corral.handlers.slack import ManageChannel, PostMessage, SlackSettings, SyncSlack, bundle
from corral.testing import app_in_memory, drain
from tests.handlers.pages import Page, variables

PAGE = Page("slack")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(SlackSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == tuple(one.name for one in bundle(database=Database("sqlite:///app.db")))


def test_every_field_is_in_the_tables() -> None:
    fields = [field for kind in (SyncSlack, PostMessage, ManageChannel) for field in kind.model_fields.values()]
    assert PAGE.cells("The payloads") == {str(field.alias) for field in fields}


async def test_the_jobs_of_the_first_example_run_dry() -> None:
    names = PAGE.run()
    app, database, add = names["app"], names["database"], names["catch_up"]
    assert isinstance(app, Corral)
    assert isinstance(database, Database)
    async with app_in_memory(app), database:
        await add()  # type: ignore[operator]
        assert (await drain(app)).completed == 2
        assert await names["who"]() == []  # type: ignore[operator]
