"""What the doctor looks at, and what it says."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from corral.job import Job
from corral.monitor.objects import QueueRow, ScheduleRow, WorkerRow
from corral.storage.flaw import Flaw
from corral.storage.port import QueueInfo
from corral.storage.vital import Vital
from corral.timing import Millis

#: Number and name of each check, in the order in which they are printed.
CHECKS: Mapping[str, str] = {
    "D01": "store", "D02": "latency", "D03": "server", "D04": "eviction", "D05": "persistence", "D06": "memory",
    "D07": "clock", "D08": "clients", "D09": "access", "D10": "layout", "D11": "orphans", "D12": "counts",
    "D13": "locks", "D14": "stalled", "D15": "worker", "D16": "handlers", "D17": "paused", "D18": "schedules",
    "D19": "errors", "D20": "events", "D21": "auth", "D22": "keys", "D23": "public", "D24": "retention",
}  # fmt: skip
CODES: Mapping[str, str] = {name: code for code, name in CHECKS.items()} | {"disk": "D06"}


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Check(Struct, frozen=True, kw_only=True):
    """One check: what it looked at, what it saw, and the way out. `fixable`: `--fix` puts it right."""

    name: str
    verdict: Verdict
    message: str
    fix: str = ""
    queue: str = ""
    fixable: bool = False

    @property
    def code(self) -> str:
        """Its number: D01 to D24."""
        return CODES[self.name]

    def row(self) -> dict[str, object]:
        """The check as it is printed."""
        return {
            "code": self.code, "check": self.name, "verdict": str(self.verdict), "message": self.message,
            "fix": self.fix or None, "queue": self.queue or None, "fixable": self.fixable,
        }  # fmt: skip


class Mended(Struct, frozen=True, kw_only=True):
    """One thing that was put right."""

    name: str
    message: str
    queue: str = ""

    def row(self) -> dict[str, object]:
        """What was done, as it is printed."""
        return {"code": CODES[self.name], "check": self.name, "message": self.message, "queue": self.queue or None}


class Facts(Struct, frozen=True, kw_only=True):
    """What the rules judge by."""

    now: Millis
    queues: Sequence[QueueRow]
    infos: Sequence[QueueInfo]
    workers: Sequence[WorkerRow]
    schedules: Sequence[ScheduleRow]
    waiting: Mapping[str, Mapping[str, int]] = {}  #: queue -> name of a job -> how many of the first that wait
    failures: Mapping[str, Job] = {}  #: queue -> the job that failed last
    declared: frozenset[str] = frozenset()  #: "queue/name" of the application's handlers; empty: no application
    flaws: Sequence[Flaw] = ()
    vitals: Sequence[Vital] = ()
