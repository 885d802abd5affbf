"""The store itself: reads through the monitor, writes through the admin's desk, as the person who typed the command."""

import getpass
import os
from types import TracebackType
from typing import Self

from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.app.app import Corral
from corral.cli.backend.direct_acts import DirectActs
from corral.cli.backend.direct_reads import DirectReads
from corral.cli.backend.direct_runs import DirectRuns
from corral.cli.load import load_app
from corral.cli.settings import load_settings
from corral.cli.store import store_url, with_prefix
from corral.cli.target import Target
from corral.monitor.monitor import Monitor
from corral.storage.connect import safe_url
from corral.storage.port import Storage


class Direct(DirectReads, DirectActs, DirectRuns):
    """A back end on an open store, which whoever made it closes."""

    def __init__(self, storage: Storage, url: str, *, app: Corral | None = None, reason: str = "") -> None:
        self.storage = storage
        self.url = url
        self.app = app
        self.monitor = Monitor(storage)
        self.admin = Admin(storage, self.monitor, app=app)
        self.desk = self.admin.by(Actor(sub=person(), method="local", role="admin", via="cli"), reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def about(self) -> str:
        from corral.storage.checkup import checkup

        return f"{safe_url(self.url)}; " + "; ".join(f"{one.name}: {one.text}" for one in await checkup(self.url))


def place(chosen: Target, *, app: bool) -> tuple[str, Corral | None]:
    """The store's URL, and the application: when it is wanted (`app`), or when only it knows where its store is."""
    settings = load_settings(app=chosen.app, url=chosen.url)
    if chosen.app is None or (settings.url is not None and not app):
        return with_prefix(store_url(settings), chosen.prefix), None
    loaded = load_app(chosen.app)
    loaded.url = with_prefix(store_url(settings, loaded), chosen.prefix)
    return loaded.url, loaded


def person() -> str:
    """Who types: the user's name, and behind sudo the one who called it."""
    behind = os.environ.get("SUDO_USER")
    try:
        return behind or getpass.getuser()
    except (KeyError, OSError):  # a container whose user has a number only
        return str(os.getuid())
