"""A workspace on a real HTTP server, a database and a desk."""

from collections.abc import AsyncIterator

import pytest
from pytest_httpserver import HTTPServer

from corral.handlers.kit.database import Database
from corral.handlers.slack import SlackSettings, Workspaces, bundle
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .workspace import TOKEN, Workspace


@pytest.fixture
def workspace(httpserver: HTTPServer) -> Workspace:
    """What Slack would answer."""
    return Workspace(httpserver)


@pytest.fixture
def settings(workspace: Workspace) -> SlackSettings:
    """One token for every workspace, and small pages."""
    return SlackSettings.load(slack_bot_token=TOKEN, slack_api_url=workspace.url, slack_page_size=2)


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database."""
    made = Database(app_database)
    async with made:
        yield made


@pytest.fixture
def store(database: Database) -> Workspaces:
    """What is kept."""
    return Workspaces(database)


@pytest.fixture
def desk(memory: Storage, database: Database, settings: SlackSettings) -> Desk:
    """A worker's desk for the jobs."""
    return Desk.of(memory, bundle(settings, database=database))
