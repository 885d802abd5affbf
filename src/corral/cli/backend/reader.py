"""A store that is only looked at: the monitor and nothing else, because half of all commands need no more."""

from types import TracebackType
from typing import Self

from corral.alert import AlertOptions
from corral.alerts.settings import read_alerts
from corral.cli.backend.direct_reads import DirectReads
from corral.monitor.monitor import Monitor
from corral.monitor.thresholds import DEFAULTS
from corral.storage.port import Storage


def monitor_of(storage: Storage, declared: AlertOptions | None = None) -> Monitor:
    """The monitor: what wants attention is the same here as for whoever sends alerts, if the application is known."""
    alerts = read_alerts(declared=declared)
    return Monitor(storage, thresholds=DEFAULTS if alerts is None else alerts.thresholds)


class Reader(DirectReads):
    """The part of `Direct` that reads, on an open store, which whoever made it closes."""

    def __init__(self, storage: Storage, url: str, declared: AlertOptions | None = None) -> None:
        self.storage = storage
        self.url = url
        self.monitor = monitor_of(storage, declared)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
