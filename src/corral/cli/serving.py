"""Serving the API in this process, with its banner."""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

import click

from corral._version import __version__
from corral.alerts.settings import read_alerts
from corral.app.app import Corral
from corral.cli.load import load_app
from corral.cli.process import fast_loop, take_over_input
from corral.cli.settings import Settings
from corral.cli.shared import Globals
from corral.cli.store import store_url, with_prefix
from corral.cli.supervise import ABORT
from corral.cli.text import visible
from corral.errors import StorageUnavailableError
from corral.http.app import Application, create_app
from corral.http.home import Api
from corral.http.server import Server, listen, url_of
from corral.http.server import serve as serve_on
from corral.http.settings import ApiSettings


@dataclass(frozen=True)
class Serving:
    """What is to be served."""

    source: Corral | str
    settings: ApiSettings
    shared: bool = False  #: other processes serve the same port
    child: bool = False  #: a supervisor speaks to it through standard input
    name: str = "API"
    make: Callable[..., Application] = create_app


def source_of(settings: Settings) -> Corral | str:
    """What the API is about: the application on the store that the settings choose, or that store.

    Raises:
        UsageError: no such application. ConfigError: a URL that cannot be meant.
    """
    prefix = click.get_current_context().ensure_object(Globals).prefix or settings.prefix
    if settings.app is None:
        return with_prefix(store_url(settings), prefix)
    app = load_app(settings.app)
    app.url = with_prefix(store_url(settings, app), prefix)
    return app


def serve(what: Serving) -> int:
    """Serve until stopped; answers the exit code.

    Raises:
        CorralError: the address cannot be had, the store cannot be used, a setting cannot be meant.
    """
    declared = what.source.alerts if isinstance(what.source, Corral) else None
    app = what.make(what.source, settings=what.settings, alerts=read_alerts(declared=declared))
    home: Api = app.state.corral
    with listen(what.settings, shared=what.shared) as sock, asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(_serve(app, home, sock, what))


async def _serve(app: Application, home: Api, sock: socket.socket, what: Serving) -> int:
    try:
        await home.open()
    except StorageUnavailableError:  # it has been logged; the API answers 503 until the store is there
        pass
    server = Server(app, home)
    pipe = take_over_input() if what.child else None
    if pipe is not None:
        _obey(server, pipe)
    for line in banner(home, what, url_of(what.settings, sock)):
        click.echo(visible(line))
    await serve_on(server, [sock])
    if pipe is not None:
        asyncio.get_running_loop().remove_reader(pipe)
        os.close(pipe)
    return 0


def banner(home: Api, what: Serving, url: str) -> list[str]:
    """What it serves, where, and how one gets in."""
    settings = what.settings
    label = f" · {settings.env_label}" if settings.env_label else ""
    limits = " · read only" if settings.read_only else ""
    pages = what.name == "dashboard"
    lines = [f"corral {__version__} · {what.name} of {home.url}{label}{limits} · pid {os.getpid()}"]
    lines += [f"  {url}/", f"  {url}/api/v1"] if pages else [f"  {url}/api/v1"]
    if settings.insecure_no_auth:
        lines.append("  NO AUTHENTICATION: everybody who reaches this address may do everything")
    elif home.recogniser.closed:
        lines.append("  nobody is configured who may come in: this machine only, with this token, for one login")
        once = home.recogniser.once()
        lines.append(f"  {url}/login?token={once}" if pages else f"  token: {once}")
    else:
        lines.append(f"  recognised by: {', '.join(sorted(settings.methods))}")
    return [*lines, "Ctrl-C to stop."]


def _obey(server: Server, pipe: int) -> None:
    """Stop on the supervisor's word, or when the supervisor is gone."""
    loop = asyncio.get_running_loop()

    def hear() -> None:
        words = os.read(pipe, 1024) if select.select([pipe], [], [], 0)[0] else b""
        if not words:
            loop.remove_reader(pipe)
        server.stop(0.0 if ABORT in words else None)

    loop.add_reader(pipe, hear)
