"""What is to be done about a job that stands in two stores: pure decisions, and what they are based on."""

from enum import Enum, auto

import msgspec
from msgspec import Struct

from corral.job import JobId, JobState
from corral.storage.port import QueueInfo
from corral.storage.transfer import Packed

#: How pause reasons of a move begin: whoever sees one knows that no person paused this queue.
REASON = "corral move"


class Ledger(Struct, frozen=True):
    """What a queue of a store knows about moves, stored as a note."""

    id: str
    to: str = ""  #: the ledger id of the queue that took over from this one
    totals: dict[str, tuple[int, int]] = {}  #: by ledger id: lifetime totals of a source that were counted in here

    def text(self) -> str:
        """As it is stored."""
        return msgspec.json.encode(self).decode()


class Moved(Struct, frozen=True, kw_only=True):
    """What became of one queue."""

    queue: str
    new: int = 0  #: jobs copied that the target did not have
    updated: int = 0  #: jobs that had advanced in the source since they were copied
    there: int = 0  #: jobs that had been moved before
    newer: int = 0  #: jobs that the target has run on, or changed: left alone
    running: int = 0  #: jobs that stay in the source: they run, or belong to one that does
    stale: int = 0  #: copies removed in the target: the source has run these jobs since, and keeps them no longer
    conflicts: tuple[JobId, ...] = ()  #: ids that the target has given to other jobs
    unreadable: tuple[JobId, ...] = ()  #: jobs that another program wrote and nobody can read
    schedules: int = 0
    notes: int = 0
    settled: bool = True  #: the last round found nothing more to copy
    elsewhere: tuple[str, ...] = ()  #: queues of children that were not moved along

    @property
    def complete(self) -> bool:
        """Whether everything is in the target now."""
        return self.settled and not (self.running or self.conflicts or self.unreadable or self.elsewhere)


class Verdict(Enum):
    """What is to be done about one job."""

    NEW = auto()
    UPDATE = auto()
    SAME = auto()
    BEFORE = auto()  #: handed over by an earlier run, whatever became of it there
    NEWER = auto()
    CONFLICT = auto()


class Sides(Struct, frozen=True):
    """One queue in both stores."""

    source: Ledger
    target: Ledger

    @property
    def handed(self) -> bool:
        """Whether the target took over earlier: what stands there is what counts."""
        return bool(self.source.to) and self.source.to == self.target.id

    @property
    def returns(self) -> bool:
        """Whether the queue comes back to where it was moved away from: old copies stand there."""
        return bool(self.target.to) and self.target.to == self.source.id

    def given(self, here: Packed) -> str:
        """What is noted on a job of the source: who has it now too, and as what."""
        return f"{self.target.id} {here.stored.stamp}"

    def copied(self, here: Packed) -> str:
        """What is noted on its copy in the target."""
        return f"{self.source.id} {here.stored.stamp}"

    def handed_over(self, here: Packed) -> bool:
        """Whether the target took this job over, and it has not changed here: what became of it is known there."""
        return self.handed and here.mark == self.given(here)

    def untouched(self, there: Packed) -> bool:
        """Whether a job of the target is as it was when both sides had the same."""
        return there.mark == f"{self.source.id} {there.stored.stamp}"


def decide(here: Packed, there: Packed | None, sides: Sides) -> Verdict:
    """What to do about a job of the source, by what stands in the target under its id."""
    if sides.handed_over(here):
        return Verdict.BEFORE
    if there is None:
        return Verdict.NEW
    if there.stored.stamp == here.stored.stamp:
        return Verdict.SAME
    ours, theirs = here.stored.job, there.stored.job
    if ours.created_at != theirs.created_at or ours.name != theirs.name:
        return Verdict.CONFLICT
    if there.mark.startswith(f"{sides.source.id} "):
        return Verdict.UPDATE if sides.untouched(there) else Verdict.NEWER
    return Verdict.NEWER if _ran_on(here, there) else Verdict.UPDATE


def _ran_on(here: Packed, there: Packed) -> bool:
    """Whether a copy has gone its own way, where no mark tells what was copied. In doubt it has."""
    ours, theirs = here.stored.job, there.stored.job
    if theirs.state is JobState.ACTIVE or theirs.attempts_started > ours.attempts_started:
        return True
    return theirs.state.finished and not ours.state.finished and theirs.attempts_started == ours.attempts_started


class Pauses(Struct, frozen=True):
    """Who is paused during a move, and how the target stands afterwards."""

    source: bool  #: pause it: nobody has
    target: bool  #: it stays paused
    reason: str = ""


def plan_pauses(here: QueueInfo, there: QueueInfo | None, *, handed: bool) -> Pauses:
    """The target ends as the source was, unless a person paused it, or it took over earlier and goes on as it was."""
    by_hand = there is not None and _by_hand(there)
    if by_hand and there is not None:
        return Pauses(not _by_hand(here), True, there.pause_reason)
    if _by_hand(here) and not handed:
        return Pauses(False, True, here.pause_reason)
    return Pauses(not _by_hand(here), False)


def _by_hand(info: QueueInfo) -> bool:
    return info.paused and not info.pause_reason.startswith(REASON)
