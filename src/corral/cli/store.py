"""Which store a command means, and opening it."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import click

from corral.alert import AlertOptions
from corral.app.place import DEFAULT_URL
from corral.cli.failures import TIMED_OUT, UNREACHABLE, USAGE, Terminated, fail
from corral.cli.settings import Settings, load_settings
from corral.cli.shared import Globals
from corral.storage.connect import check_url, connect, safe_url
from corral.storage.port import Storage

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine to its end, or until `--timeout` is up (exit 7).

    SIGTERM breaks it off as Ctrl-C does: what it has opened is closed, and what it has done is said.

    Raises:
        Terminated: that has happened.
    """
    context = click.get_current_context(silent=True)
    seconds = None if context is None else context.ensure_object(Globals).timeout

    told: list[int] = []

    async def bounded() -> T:
        _heed(told)
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            if seconds is None:
                raise
            fail(f"not done within {seconds:g} s (--timeout)", TIMED_OUT)

    try:
        return asyncio.run(bounded())
    except asyncio.CancelledError:
        if told:
            raise Terminated from None
        raise


def _heed(told: list[int]) -> None:
    """Cancel what runs when SIGTERM comes. Whoever knows better what to do then may still take the signal over."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "called from a coroutine"

    def end() -> None:
        told.append(signal.SIGTERM)
        task.cancel()

    if threading.current_thread() is threading.main_thread():
        loop.add_signal_handler(signal.SIGTERM, end)


def current_settings(**flags: object) -> Settings:
    """The settings of the command that runs, with its global options as flags."""
    chosen = click.get_current_context().ensure_object(Globals)
    return load_settings(app=chosen.app, url=chosen.url, **flags)


class Application(Protocol):
    """What is asked of an application here: `corral.app` takes 60 ms to import, and only some commands need one."""

    url: str

    @property
    def names_store(self) -> bool: ...

    @property
    def alerts(self) -> AlertOptions | None: ...

    def sealed(self, storage: Storage) -> Storage: ...


def store_url(settings: Settings, app: Application | None = None) -> str:
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


def with_prefix(url: str, prefix: str | None) -> str:
    """The URL of a Redis server with the prefix of `--prefix`. Raises: Failure for a file, which has none (exit 2)."""
    if prefix is None:
        return url
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        fail("--prefix is for Redis: a file has no prefix", USAGE)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "prefix"]
    base, _, _ = url.partition("?")
    return f"{base}?{urlencode([*query, ('prefix', prefix)])}"


@asynccontextmanager
async def open_url(url: str, app: Application | None = None, *, create: bool = False) -> AsyncIterator[Storage]:
    """The store at this URL, behind the codecs of the application, where there is one.

    Unless `create`, a file that is not there is an error and is not made.

    Raises:
        Failure: there is no such file (exit 3).
    """
    check_url(url)
    file = sqlite_file(url)
    if file is not None and not create and not file.exists():
        fail(f"there is no store at {safe_url(url)} yet; name another one with --url, --app or CORRAL_URL", UNREACHABLE)
    async with connect(url) if app is None else app.sealed(connect(url)) as storage:
        yield storage
