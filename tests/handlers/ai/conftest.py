"""A model behind a real HTTP server, and what the jobs keep in a database."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pytest_httpserver import HTTPServer

from corral.handlers.ai import SCHEMA, AiSettings
from corral.handlers.kit.database import Database

from .fake_openai import KEY, FakeOpenAi


@pytest.fixture
def openai() -> Iterator[FakeOpenAi]:
    with HTTPServer(threaded=True) as server:
        fake = FakeOpenAi(server)
        yield fake
        fake.released.set()


@pytest.fixture
def settings(openai: FakeOpenAi) -> AiSettings:
    return AiSettings.load(ai_url=openai.url, ai_api_key=KEY, ai_timeout=30)


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    made = Database(app_database)
    made.needs(SCHEMA)
    async with made:
        yield made
