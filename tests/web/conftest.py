"""Fixtures of the HTTP tests: the API over each engine, and a client for each role."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI

from corral.http import ApiSettings, create_app
from corral.http.home import Api
from corral.storage.port import Storage

#: The token of each role. They are nobody's secret: they are good for the stores of these tests.
TOKENS = {role: f"{role}-token-of-the-tests" for role in ("viewer", "operator", "admin", "producer", "scraper")}
BASE = "/api/v1"


def make_settings(**more: object) -> ApiSettings:
    """Settings under which nothing fails because the machine is slow."""
    given: dict[str, object] = {
        "tokens": ",".join(f"{role}:{role}:{token}" for role, token in TOKENS.items()),
        "rate_limits": False,
        "read_timeout": 60.0,
        "write_timeout": 60.0,
        "body_timeout": 60.0,
        "drain_delay": 0.0,
    }
    return ApiSettings(**{**given, **more})


def make_client(app: FastAPI, token: str | None = None, **headers: str) -> httpx.AsyncClient:
    """A client in this process; paths begin below `/api/v1`."""
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url=f"http://api.test{BASE}",
        headers={**shown, **headers},
        timeout=60,
    )


@pytest.fixture
def settings() -> ApiSettings:
    """Override it in a module for other settings."""
    return make_settings()


@pytest.fixture
async def app(storage: Storage, settings: ApiSettings) -> AsyncIterator[FastAPI]:
    """The API over the store under test."""
    made = create_app(storage, settings=settings)
    await made.state.corral.open()
    yield made
    await made.state.corral.close()


@pytest.fixture
def home(app: FastAPI) -> Api:
    """The parts of the API under test."""
    found = app.state.corral
    assert isinstance(found, Api)
    return found


@pytest.fixture
async def client_of(app: FastAPI) -> AsyncIterator[Callable[[str | None], httpx.AsyncClient]]:
    """A client with the token of a role, or with none."""
    clients: list[httpx.AsyncClient] = []

    def make(role: str | None) -> httpx.AsyncClient:
        clients.append(make_client(app, None if role is None else TOKENS[role]))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def anonymous(client_of: Callable[[str | None], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Somebody without a token."""
    return client_of(None)


@pytest.fixture
def viewer(client_of: Callable[[str | None], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Somebody who may look."""
    return client_of("viewer")


@pytest.fixture
def operator(client_of: Callable[[str | None], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Somebody who may act on jobs."""
    return client_of("operator")


@pytest.fixture
def admin(client_of: Callable[[str | None], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Somebody who may do everything."""
    return client_of("admin")


@pytest.fixture
def producer(client_of: Callable[[str | None], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Somebody who may add jobs, and see those."""
    return client_of("producer")
