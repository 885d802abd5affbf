"""The page about notifications: its examples run, and its tables leave nothing out."""

from corral.app.app import Corral
from corral.handlers.kit.database import Database
from corral.handlers.notifications import JOBS, Announce, NotificationSettings
from corral.testing import app_in_memory, drain
from tests.handlers.pages import Page, variables

PAGE = Page("notifications")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(NotificationSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == JOBS


def test_every_field_of_an_announcement_is_in_the_table() -> None:
    text = PAGE.section("The payloads")
    assert [name for name in Announce.model_fields if f"`{name}`" not in text] == []


async def test_the_job_of_the_first_example_runs() -> None:
    names = PAGE.run()
    app, database, add = names["app"], names["database"], names["praise"]
    assert isinstance(app, Corral)
    assert isinstance(database, Database)
    async with app_in_memory(app), database:
        await add()  # type: ignore[operator]
        assert (await drain(app)).completed == 1
        assert await names["bell"]() == 1  # type: ignore[operator]
