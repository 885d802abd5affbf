"""The ledger of operations: how far each one is, in the store, so that any process can go on with it.

An operation is one entry, written over by whoever works on it and only over the version that they know. The jobs that
it is about stand beside it in pages, chosen before anything is done: what happens to them later cannot bring a job in
twice. Open operations are listed by a small entry of their own, so that looking for work costs nothing.
"""

import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.admin.objects import EMPTYING, INDEX, SEARCH, Actor, Operation
from corral.errors import StorageVersionError
from corral.job import Job, JobId
from corral.monitor.objects import JobRow
from corral.storage.port import Storage
from corral.storage.records import Entry, EntryChange
from corral.timing import Millis

log = logging.getLogger("corral.operations")

KIND, OPEN, PAGES = "operation", "operation-open", "operation-jobs"
#: Operations that are remembered, and for how long; a page stays at most this long too.
KEEP, TTL_MS = 1_000, 90 * 86_400_000
#: How long what a search has found is kept.
FOUND_MS: Millis = 86_400_000
#: A list entry whose operation was never written is dropped after this.
ORPHAN_MS: Millis = 600_000
#: What a search has found goes by itself; the others have no pages.
_PAGES_STAY = frozenset({SEARCH, INDEX}) | EMPTYING
#: Entries written by one call: with ids of 256 characters a page of 500 jobs is 200 KB.
TOGETHER = 16


class Stamp(Struct, frozen=True, array_like=True):
    """What tells whether a job is still as it was when it was chosen."""

    created_at: Millis
    run_at: Millis | None = None
    finished_at: Millis | None = None


class Choice(Struct, frozen=True, array_like=True):
    """A job that an operation is about. No stamp: it was not there."""

    queue: str
    id: JobId
    stamp: Stamp | None = None


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation as it is stored: what people see of it, and what is needed to go on."""

    shown: Operation
    actor: Actor
    query: str | None = None  #: as it was typed
    visible: tuple[str, ...] = ("*",)
    reveal: bool = False
    states: tuple[str, ...] = ()  #: in which the action can be done
    most: int | None = None  #: jobs that are chosen
    expect: int | None = None
    value: int | None = None
    reset_attempts: bool = True
    every_ms: Millis = 0
    reverse: bool = False  #: the jobs were found newest first, and are acted on oldest first
    collected: bool = False  #: all jobs have been chosen
    cursor: str | None = None  #: where the search goes on
    pages: int = 0
    page: int = 0  #: how many pages are through
    acting_at: Millis | None = None  #: when the first page was acted on
    sent: int = 0  #: jobs put back so far: with `every_ms` each one later than the one before
    queues: tuple[str, ...] = ()  #: of an index: those that are gone through, one after the other; of emptying: the one
    older_ms: Millis | None = None  #: of emptying: only jobs of that age when it was asked for
    force: bool = False  #: of obliterating: also while jobs run
    jobs: int = 0  #: of an index: jobs of the queue that is under way …
    entries: int = 0  #: … and the tags and traces that they have
    owner: str = ""  #: who works on it; "" is nobody

    def seen(self, **changes: object) -> "Task":
        """With these changes to what people see."""
        return replace(self, shown=replace(self.shown, **changes))


_decode = msgspec.json.Decoder(Task).decode
_decode_page = msgspec.json.Decoder(list[Choice]).decode


class Ledger:
    """Reads and writes operations. `now` is the store's time in tests."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def open(self, task: Task, choices: Sequence[Choice], page: int, *, now: Millis | None) -> Task:
        """Write down a new operation with the jobs that are known already. It is there as a whole or not at all."""
        chunks = [choices[begin : begin + page] for begin in range(0, len(choices), page)]
        for begin in range(0, len(chunks), TOGETHER):
            await self._write_pages(task.shown.id, begin, chunks[begin : begin + TOGETHER], now)
        made = replace(task, pages=len(chunks))
        # The list first: an operation that is not listed would never be carried out.
        await self._storage.write_entries(OPEN, [EntryChange(id=task.shown.id, text="")], now=now)
        change = EntryChange(id=task.shown.id, text=_text(made), version=0)
        await self._storage.write_entries(KIND, [change], keep=KEEP, now=now)
        return made

    async def load(self, operation_id: str, *, now: Millis | None) -> tuple[Task, int] | None:
        """An operation with the version of its entry; None when there is none.

        Raises:
            StorageVersionError: a later version of corral has written it in another way.
        """
        found = await self._storage.entries(KIND, ids=[operation_id], now=now)
        if not found:
            return None
        try:
            return _decode(found[0].text), found[0].version
        except msgspec.MsgspecError:
            raise StorageVersionError(
                f"operation {operation_id!r} cannot be read: a newer corral has written it"
            ) from None

    async def save(self, task: Task, version: int, *, now: Millis | None) -> int | None:
        """Write it over this version; the new one, None when somebody else was first."""
        ttl_ms = TTL_MS if task.shown.ended else None
        change = EntryChange(id=task.shown.id, text=_text(task), version=version, ttl_ms=ttl_ms)
        [written] = await self._storage.write_entries(KIND, [change], now=now)
        return written

    async def close(self, task: Task, *, now: Millis | None) -> None:
        """Put away what an operation that has ended needs no longer."""
        pages = 0 if task.shown.action in _PAGES_STAY else task.pages
        ids = [_page_id(number) for number in range(pages)]
        for begin in range(0, len(ids), 256):
            gone = [EntryChange(id=one, text=None) for one in ids[begin : begin + 256]]
            await self._storage.write_entries(f"{PAGES}:{task.shown.id}", gone, now=now)
        await self._storage.write_entries(OPEN, [EntryChange(id=task.shown.id, text=None)], now=now)

    async def recent(self, limit: int, *, now: Millis | None) -> list[Operation]:
        """Operations, newest first."""
        found: list[Operation] = []
        for entry in await self._storage.entries(KIND, limit=limit, now=now):
            try:
                found.append(_decode(entry.text).shown)
            except msgspec.MsgspecError:
                log.warning("operation %s cannot be read and is left out", entry.id)
        return found

    async def listed(self, limit: int, *, now: Millis | None) -> list[Entry]:
        """Operations that have not ended, oldest first, as far as anybody knows."""
        return await self._storage.entries(OPEN, limit=limit, newest_first=False, now=now)

    async def forget(self, entry: Entry, at: Millis, *, now: Millis | None) -> None:
        """Take an operation off the list that was never written, unless it is just being written."""
        if at - entry.at > ORPHAN_MS:
            gone = EntryChange(id=entry.id, text=None, version=entry.version)
            await self._storage.write_entries(OPEN, [gone], now=now)

    # -- the jobs --------------------------------------------------------------------------------------------------

    async def page(self, task: Task, number: int, *, now: Millis | None) -> list[Choice]:
        """The jobs of a page; a page that is gone has none."""
        return next(iter(await self.some_pages(task, number, now=now, most=1)), [])

    async def some_pages(
        self, task: Task, first: int, *, now: Millis | None, most: int = TOGETHER
    ) -> list[list[Choice]]:  # fmt: skip
        """The jobs of this page and some that follow it; those that are gone are left out."""
        ids = [_page_id(number) for number in range(first, min(first + most, task.pages))]
        found = await self._storage.entries(f"{PAGES}:{task.shown.id}", ids=ids, now=now) if ids else []
        return [_decode_page(one.text) for one in found]

    async def add_page(self, task: Task, choices: Sequence[Choice], *, now: Millis | None) -> None:
        """Write the next page; once more, when whoever wrote it died before they could say so."""
        ttl_ms = FOUND_MS if task.shown.action == SEARCH else TTL_MS
        await self._write_pages(task.shown.id, task.pages, [choices], now, ttl_ms)

    async def _write_pages(
        self, operation_id: str, first: int, pages: Sequence[Sequence[Choice]], now: Millis | None,
        ttl_ms: Millis = TTL_MS,
    ) -> None:  # fmt: skip
        changes = [
            EntryChange(id=_page_id(first + number), text=msgspec.json.encode(page).decode(), ttl_ms=ttl_ms)
            for number, page in enumerate(pages)
        ]
        await self._storage.write_entries(f"{PAGES}:{operation_id}", changes, now=now)


def stamp_of(job: Job | JobRow) -> Stamp:
    """What a job looks like now."""
    return Stamp(job.created_at, job.run_at, job.finished_at)


def unchanged(action: str, before: Stamp, job: Job | None) -> bool:
    """Whether what an action was wanted for still holds of a job.

    A job that was run again, was promoted and put off anew, or was removed and added again under its id, is another
    case. One that fell due or was claimed meanwhile may still be cancelled.
    """
    if job is None:
        return False
    now = stamp_of(job)
    if action == "promote":
        return now == before
    return (now.created_at, now.finished_at) == (before.created_at, before.finished_at)


def _page_id(number: int) -> str:
    return f"{number:08d}"


def _text(task: Task) -> str:
    return msgspec.json.encode(task).decode()
