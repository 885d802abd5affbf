"""The page about checkins: its examples run, and its tables leave nothing out."""

import asyncio

from corral.app.app import Corral
from corral.handlers.checkins import CheckinsSettings, bundle
from corral.handlers.kit.database import Database
from tests.handlers.pages import Page, variables

PAGE = Page("checkins")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(CheckinsSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == tuple(one.name for one in bundle(database=Database("sqlite:///app.db")))
