"""The dashboard over a store of each engine that has something for every page, and visitors with different rights."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from corral import Corral
from corral.dashboard.app import create_dashboard
from corral.http.app import Application
from tests.redis_server import fresh_prefix, shared_server, with_prefix
from tests.web.conftest import TOKENS, make_settings

from .browser import browsing, served
from .place import furnish, make_app
from .surfing import Surfer


@pytest.fixture(params=["sqlite", "redis"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Corral]:
    """The application, open."""
    if request.param == "sqlite":
        async with make_app(f"sqlite:///{tmp_path / 'shop.db'}") as app:
            yield app
        return
    with shared_server() as url:
        async with make_app(with_prefix(url, fresh_prefix())) as app:
            yield app


@pytest.fixture
async def ids(shop: Corral) -> dict[str, str]:
    """The store is furnished; these are its jobs."""
    return await furnish(shop)


@pytest.fixture
async def site(shop: Corral) -> AsyncIterator[Application]:
    """The dashboard of the application."""
    made = create_dashboard(shop, settings=make_settings())
    await made.state.corral.open()
    yield made
    await made.state.corral.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with browsing() as found:
        yield found


@pytest.fixture
async def address(site: Application) -> AsyncIterator[str]:
    """Where the dashboard is served."""
    async with served(site) as url:
        yield url


@pytest.fixture
async def visitor(site: Application) -> AsyncIterator[Callable[[str], Surfer]]:
    """Somebody with the rights of a role."""
    clients: list[httpx.AsyncClient] = []

    def make(role: str) -> Surfer:
        clients.append(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=site), base_url="http://shop.test", timeout=60,
                headers={"Authorization": f"Bearer {TOKENS[role]}"},
            )
        )  # fmt: skip
        return Surfer(clients[-1])

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def admin(visitor: Callable[[str], Surfer]) -> Surfer:
    """Somebody who may do everything."""
    return visitor("admin")


@pytest.fixture
def viewer(visitor: Callable[[str], Surfer]) -> Surfer:
    """Somebody who may look."""
    return visitor("viewer")


Furnished = Callable[[], Awaitable[dict[str, str]]]
