"""What it takes to carry a store's content into another one: jobs whole, with what the port does not show.

The port serves applications; this is for `corral.move`. Both adapters implement `Transfer` beside the port. Everything
is asked and written in slices, each an atomic step, so that a store with a million jobs stays usable meanwhile.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.job import Job, JobId, JobState, NewJob
from corral.options import ParentPolicy
from corral.storage.port import Bucket, Storage
from corral.timing import Millis

#: The most jobs, ties or minutes of one step.
SLICE = 250
#: About how many bytes of payloads one step carries; it ends early rather than with more.
SLICE_BYTES = 1_000_000
#: Where a store keeps what it knows about moves, among the notes of `remember`.
LEDGER_KEY = "corral:move"
#: Under this name `Stored.foreign` says until when (ms, "" for ever) a job owns its deduplication id.
DEDUPLICATION = "de:until"

_encode = msgspec.msgpack.Encoder(order="sorted").encode


class Stored(Struct, frozen=True, kw_only=True):
    """A job with all that is stored of it. Equal on both sides when both stores have the same job at the same point."""

    job: Job  #: `pending_children` is 0 here: ties tell
    ready_at: Millis  #: when it could first have been claimed, this time round
    expires_at: Millis | None = None
    since: Millis | None = None  #: when it began to wait for its children
    cancel: str | None = None
    delay_ms: Millis | None = None  #: of one that waits for children: counted from their end; below 0: minus the time
    follower: NewJob | None = None  #: what its deduplication id keeps for the time after it
    #: What only BullMQ knows, by field of its hash: (what corral would write there, what stands there).
    foreign: Mapping[str, tuple[str | None, str | None]] = {}

    @property
    def stamp(self) -> str:
        """Changes with anything that happens to the job."""
        lasting = self
        if DEDUPLICATION in self.foreign:  # a remaining time, told in ms, never comes out twice the same
            lasting = replace(self, foreign={k: v for k, v in self.foreign.items() if k != DEDUPLICATION})
        return blake2b(_encode(lasting), digest_size=8).hexdigest()


class Packed(Struct, frozen=True, kw_only=True):
    """A job in a parcel, and what stands beside it."""

    stored: Stored
    mark: str = ""  #: `<ledger id> <stamp>`: another store had the same job, and as what
    lines: int = 0  #: of its log
    is_parent: bool = False
    tied: bool = False  #: its parent knows of it
    stays: bool = False  #: the job it belongs to is running: both stay where they are


class Parcel(Struct, frozen=True, kw_only=True):
    """A stretch of a queue's jobs, without active ones, in serving order within each state and priority."""

    jobs: tuple[Packed, ...] = ()
    unreadable: tuple[JobId, ...] = ()  #: what another program wrote and cannot be carried
    next: str | None = None  #: where to go on; None: that was all


class Item(Struct, frozen=True, kw_only=True):
    """A job to be written."""

    stored: Stored
    tied: bool = False
    mark: str = ""
    #: The job that stands there now: its state and claims so far. It is replaced unless it has moved on meanwhile.
    over: tuple[JobState, int] | None = None
    place_only: bool = False  #: it is the same: only put it behind those that were written before it


class Tie(Struct, frozen=True, kw_only=True):
    """What a parent knows of one child."""

    queue: str
    id: JobId
    state: JobState  #: waiting (not ended), completed or failed
    policy: ParentPolicy = ParentPolicy.WAIT  #: of a failed one: what is left of it; others' own tell theirs
    after: bool = False  #: no child, but a job that this one comes after; `policy` is always told
    value: str | None = None  #: result or reason


class Note(Struct, frozen=True):
    """An entry of the ledger of effects."""

    key: str
    value: str
    expires_at: Millis | None = None


class Notes(Struct, frozen=True):
    """A stretch of them; `next` as in `Parcel`."""

    notes: tuple[Note, ...]
    next: str | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """A queue's numbers. Written, `completed` and `failed` are added and `last_id` only ever rises."""

    last_id: int = 0  #: the highest number given to a job
    completed: int = 0  #: lifetime totals
    failed: int = 0
    minutes: tuple[Bucket, ...] = ()
    ledger: str | None = None  #: noted under LEDGER_KEY in the same step


class Transfer(Protocol):
    """Carrying a queue's content, in slices."""

    async def pack(self, queue: str, *, after: str = "", limit: int = SLICE) -> Parcel:
        """The next jobs: waiting, delayed, waiting for children, completed, failed; finished ones oldest first."""
        ...

    async def look(self, queue: str, ids: Sequence[JobId]) -> list[Packed | None]:
        """These jobs, active ones too; None for those that are not there (or unreadable)."""
        ...

    async def unpack(self, queue: str, items: Sequence[Item]) -> list[bool]:
        """Write jobs, each behind the others of its state and priority. False: it has moved on and is left alone."""
        ...

    async def pack_ties(self, queue: str, parents: Sequence[JobId]) -> list[tuple[Tie, ...]]:
        """The children of these jobs, in their order."""
        ...

    async def unpack_ties(self, queue: str, parent: JobId, ties: Sequence[Tie], *, first: bool) -> None:
        """Tell a job of its children; with `first` it forgets those it knew. Children that have ended here count so."""
        ...

    async def unpack_log(self, queue: str, job_id: JobId, lines: Sequence[str], *, first: bool) -> None:
        """Write lines of a job's log; with `first` they take the place of what was there."""
        ...

    async def mark(self, queue: str, marks: Mapping[JobId, str]) -> None:
        """Note on jobs that another store has the same, as `Packed.mark` says."""
        ...

    async def pack_notes(self, queue: str, *, after: str = "", limit: int = SLICE) -> Notes:
        """The next notes, without those that are over."""
        ...

    async def pack_figures(self, queue: str) -> Figures:
        """The queue's numbers, without minutes (the port tells them)."""
        ...

    async def unpack_figures(self, queue: str, figures: Figures, *, replace: bool) -> None:
        """Add numbers; with `replace` minutes take the place of those that stand there."""
        ...


class Movable(Storage, Transfer, Protocol):
    """A store that can be moved."""
