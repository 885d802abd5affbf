"""A dashboard with other settings, and people who come to it in different ways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from corral import Corral
from corral.dashboard.app import create_dashboard
from corral.http.app import Application
from corral.http.home import Api
from tests.web.conftest import make_settings

from .surfing import Surfer


@asynccontextmanager
async def opened(shop: Corral, **settings: object) -> AsyncIterator[Application]:
    """The dashboard of this application, with these settings."""
    site = create_dashboard(shop, settings=make_settings(**settings))
    home: Api = site.state.corral
    await home.open()
    try:
        yield site
    finally:
        await home.close()


@asynccontextmanager
async def coming(
    site: Application, *, token: str = "", base: str = "http://shop.test", peer: str = "127.0.0.1", **headers: str
) -> AsyncIterator[tuple[Surfer, httpx.AsyncClient]]:
    """Somebody who comes to it from this address, and their browser."""
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=site, client=(peer, 1))
    async with httpx.AsyncClient(
        transport=transport, base_url=base, timeout=60, headers={**shown, **headers}
    ) as client:
        yield Surfer(client), client
