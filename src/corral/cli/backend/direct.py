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
from corral.cli.backend.reader import monitor_of
from corral.storage.port import Storage


class Direct(DirectReads, DirectActs, DirectRuns):
    """A back end on an open store, which whoever made it closes."""

    def __init__(self, storage: Storage, url: str, *, app: Corral | None = None, reason: str = "") -> None:
        self.storage = storage
        self.url = url
        self.app = app
        self.monitor = monitor_of(storage, None if app is None else app.alerts)
        self.admin = Admin(storage, self.monitor, app=app)
        self.desk = self.admin.by(Actor(sub=person(), method="local", role="admin", via="cli"), reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def person() -> str:
    """Who types: the user's name, and behind sudo the one who called it."""
    behind = os.environ.get("SUDO_USER")
    try:
        return behind or getpass.getuser()
    except (KeyError, OSError):  # a container whose user has a number only
        return str(os.getuid())
