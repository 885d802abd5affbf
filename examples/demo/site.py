"""The demo's site: the platform's API, and the dashboard below `/dashboard`."""

import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Mount

from corral import Corral
from corral.dashboard import create_dashboard
from corral.http import ApiSettings

from .serving import served, site_of
from .stage import Web

#: Where the dashboard is; a platform may have one of its own elsewhere, behind its own login.
DASHBOARD = "/dashboard"


@contextlib.asynccontextmanager
async def site(app: Corral, api: Web | None, sock: socket.socket) -> AsyncIterator[str]:
    """Serve both until the end of the block; gives the address that lets one person into the dashboard, once."""
    # Nobody is configured who may come in: so only this machine may, with a token that is good for one login.
    dashboard = create_dashboard(app, settings=ApiSettings(env_label="demo"))
    home = dashboard.state.corral
    token = home.recogniser.once()
    routes = [Mount(DASHBOARD, dashboard), *([] if api is None else [Mount("/", api)])]
    try:
        async with served(Starlette(routes=routes), sock):
            yield f"{site_of(sock)}{DASHBOARD}/" + ("" if token is None else f"login?token={token}")
    finally:
        await home.close()
