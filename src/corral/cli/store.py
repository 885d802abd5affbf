"""Which store a command means, and opening it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import click

from corral.app.app import Corral
from corral.app.place import DEFAULT_URL
from corral.cli.failures import UNREACHABLE, fail
from corral.cli.load import load_app
from corral.cli.settings import Settings, load_settings
from corral.cli.shared import Globals
from corral.storage.connect import check_url, connect, safe_url
from corral.storage.port import Storage

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(work)


def current_settings(**flags: object) -> Settings:
    """The settings of the command that runs, with its global options as flags."""
    chosen = click.get_current_context().ensure_object(Globals)
    return load_settings(app=chosen.app, url=chosen.url, **flags)


def current_app(settings: Settings) -> Corral | None:
    """The application that `--app`, CORRAL_APP or corral.toml names, on the store that the settings choose."""
    return None if settings.app is None else app_on_store(settings.app, settings)


def app_on_store(target: str, settings: Settings) -> Corral:
    """The application of this name, on the store that the settings choose."""
    app = load_app(target)
    app.url = store_url(settings, app)
    return app


def store_url(settings: Settings, app: Corral | None = None) -> str:
    """The store: --url or CORRAL_URL, then REDIS_URL, corral.toml, the application's own, and the default.

    REDIS_URL is often there for somebody else, so an application that names its own store is not moved by it.
    """
    if settings.url:
        return settings.url
    if app is not None and app.names_store:
        return settings.file_url or app.url
    return settings.redis or settings.file_url or DEFAULT_URL


def sqlite_file(url: str) -> Path | None:
    """The file behind a store's URL; None when there is none."""
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    return Path(path) if parts.scheme == "sqlite" and path and path != ":memory:" else None


@asynccontextmanager
async def open_store(*, create: bool = False) -> AsyncIterator[Storage]:
    """The store that the options mean. Unless `create`, a file that is not there is an error and is not made.

    Raises:
        Failure: there is no such file (exit 3).
    """
    url, app = _chosen()
    async with open_url(url, app, create=create) as storage:
        yield storage


def chosen_url() -> str:
    """The URL of the store that the options mean."""
    return _chosen()[0]


def _chosen() -> tuple[str, Corral | None]:
    settings = current_settings()
    # Only the application knows its own URL; it is not imported when somebody has already named the store.
    app = current_app(settings) if settings.app and not settings.url else None
    return (app.url, app) if app is not None else (store_url(settings), None)


@asynccontextmanager
async def open_url(url: str, app: Corral | None = None, *, create: bool = False) -> AsyncIterator[Storage]:
    """The store at this URL, as `open_store`; behind the codecs of the application, where there is one."""
    check_url(url)
    file = sqlite_file(url)
    if file is not None and not create and not file.exists():
        fail(f"there is no store at {safe_url(url)} yet; name another one with --url, --app or CORRAL_URL", UNREACHABLE)
    async with connect(url) if app is None else app.sealed(connect(url)) as storage:
        yield storage
