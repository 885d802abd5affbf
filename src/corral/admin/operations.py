"""Carrying out operations: any number of processes may run this on one store, and each operation has one at a time.

A process that dies leaves its operation as it was after its last page. The others see that nothing moves any more, by
their own clocks, so that nobody's has to be right, and one of them goes on. The page that was under way is gone through
again; jobs that were acted on are known by what has changed about them.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from msgspec.structs import replace

from corral.admin import audit
from corral.admin.acting import act, booked
from corral.admin.base import Ground
from corral.admin.emptying import emptied, empty_step
from corral.admin.hiding import kept
from corral.admin.indexing import index_step
from corral.admin.ledger import Choice, Ledger, Task, stamp_of
from corral.admin.objects import EMPTYING, INDEX, SEARCH, AuditEntry, Operation
from corral.admin.problems import code_of
from corral.errors import (
    CorralError,
    RecordNotFoundError,
    SelectionChangedError,
    StorageError,
    StorageVersionError,
)
from corral.job import JobState
from corral.pauses import resume_due
from corral.storage.records import Entry
from corral.timing import Millis, Seconds, to_seconds

log = logging.getLogger("corral.operations")

#: Jobs chosen and acted on at once.
PAGE = 500
#: An operation on which nothing has moved for so long has lost its process: a page takes a second, and a store that
#: does not answer is given up after ten.
LEASE_S = 20.0
#: How often work is looked for that other processes have written down, and how many operations run at once.
POLL_S = 2.0
TOGETHER = 4
#: A selection that was shown may have changed by this share before it is acted on.
TOLERANCE = 0.1


class Held(NamedTuple):
    """An operation that this process works on, as it is in the store."""

    task: Task
    version: int
    again: bool  #: the next page may have been acted on already, by somebody who died


class LostError(Exception):
    """Somebody else works on the operation now."""


class Operations:
    """Carries out operations while `run` is entered: theirs who started them here, and any that nobody works on.

    Args:
        name: tells processes apart; without it made of host and process id.
        seconds: a clock that only goes forwards, for tests.
    """

    def __init__(
        self, ground: Ground, *, name: str | None = None, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self.ledger = Ledger(ground.storage)
        self.name = name or f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._ground = ground
        self._seconds = seconds
        self._working: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, tuple[int, float]] = {}
        self._mine: set[str] = set()
        self._awake = asyncio.Event()
        self._moved = asyncio.Event()
        self._stopping = False

    @asynccontextmanager
    async def run(self, *, all_of_them: bool = True) -> AsyncIterator[Self]:
        """Work in the background until the block is left; a page that is under way is finished then.

        Also resumes queues whose timed pause is over.

        Args:
            all_of_them: also carry out operations that other processes have started or left; without it only those
                that were started through this one.
        """
        self._stopping = False
        loop = asyncio.create_task(self._loop(all_of_them=all_of_them), name="corral operations")
        loop.add_done_callback(_told)
        try:
            yield self
        finally:
            self._stopping = True
            self._awake.set()
            await loop

    def wake(self, operation_id: str) -> None:
        """Look at once: this operation has just been started here."""
        self._mine.add(operation_id)
        self._awake.set()

    async def finish(self, operation_id: str, *, timeout: Seconds | None = None) -> Operation:
        """Wait until an operation has ended; on a timeout it is answered as it stands.

        Raises:
            RecordNotFoundError: no such operation.
        """
        seconds = None if timeout is None else to_seconds(timeout, "timeout")
        until = None if seconds is None else self._seconds() + seconds
        while True:
            self._moved.clear()
            loaded = await self.ledger.load(operation_id, now=self._ground.store_now())
            if loaded is None:
                raise RecordNotFoundError("operation", operation_id)
            shown = loaded[0].shown
            left = 0.5 if until is None else min(0.5, until - self._seconds())
            if shown.ended or left <= 0:
                return shown
            try:  # another process may have it: a look twice a second is enough for people
                await asyncio.wait_for(self._moved.wait(), left)
            except TimeoutError:
                continue

    # -- looking for work --------------------------------------------------------------------------------------------

    async def _loop(self, *, all_of_them: bool) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                await resume_due(self._ground.storage, now=self._ground.store_now())
                await self.look(all_of_them=all_of_them)
            except StorageError as error:
                log.warning("operations wait for the store: %s", error)
            try:
                await asyncio.wait_for(self._awake.wait(), POLL_S)
            except TimeoutError:
                continue
        if self._working:
            await asyncio.wait(self._working.values())

    async def look(self, *, all_of_them: bool = True) -> list[str]:
        """Begin to work on what nobody works on; answers which operations these are."""
        begun = []
        for entry in await self.ledger.listed(100, now=self._ground.store_now()):
            if len(self._working) >= TOGETHER:
                break
            if entry.id in self._working or not (all_of_them or entry.id in self._mine):
                continue
            try:
                if await self._is_to_do(entry):
                    self._begin(entry.id)
                    begun.append(entry.id)
            except StorageVersionError as error:  # another process understands it, and the others go on
                log.warning("%s", error)
        return begun

    async def _is_to_do(self, entry: Entry) -> bool:
        """Whether a listed operation waits for somebody; what others could not tidy up is tidied up."""
        now = self._ground.store_now()
        loaded = await self.ledger.load(entry.id, now=now)
        if loaded is None:
            await self.ledger.forget(entry, self._ground.at(), now=now)
            return False
        if loaded[0].shown.ended:
            await self.ledger.close(loaded[0], now=now)
            return False
        return self._is_free(*loaded)

    def _is_free(self, task: Task, version: int) -> bool:
        """Whether nobody works on it, as far as can be seen."""
        if task.owner in ("", self.name):
            return True
        seen = self._seen.get(task.shown.id)
        if seen is None or seen[0] != version:
            self._seen[task.shown.id] = version, self._seconds()
            return False
        return self._seconds() - seen[1] >= LEASE_S

    def _begin(self, operation_id: str) -> None:
        work = asyncio.create_task(self._work(operation_id), name=f"corral operation {operation_id}")
        self._working[operation_id] = work
        work.add_done_callback(lambda done: self._is_through(operation_id, done))

    def _is_through(self, operation_id: str, work: asyncio.Task[None]) -> None:
        self._working.pop(operation_id, None)
        self._moved.set()
        self._awake.set()  # there may be room for another one now
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("operation %s stopped: %r", operation_id, error, exc_info=error)

    # -- working -----------------------------------------------------------------------------------------------------

    async def _work(self, operation_id: str) -> None:
        try:
            held = await self.take(operation_id)
            while held is not None and not held.task.shown.ended:
                if self._stopping:
                    await self.release(held)
                    return
                held = await self.step(held)
                self._moved.set()
        except LostError:
            log.info("operation %s is worked on by somebody else", operation_id)
        except StorageError as error:
            log.warning("operation %s waits for the store: %s", operation_id, error)
            await asyncio.sleep(POLL_S)

    async def take(self, operation_id: str) -> Held | None:
        """Make an operation this process's own; None when it has ended or somebody else was first."""
        now = self._ground.store_now()
        loaded = await self.ledger.load(operation_id, now=now)
        if loaded is None or loaded[0].shown.ended:
            return None
        task, version = loaded
        if task.owner not in ("", self.name) and not self._is_free(task, version):
            return None
        again = task.owner != "" and task.collected
        started = task.shown.started_at or self._ground.at()
        mine = replace(task, owner=self.name).seen(state=_state(task), started_at=started)
        written = await self.ledger.save(mine, version, now=now)
        return None if written is None else Held(mine, written, again)

    async def release(self, held: Held) -> None:
        """Let somebody else go on with it."""
        await self._save(replace(held.task, owner=""), held.version)

    async def step(self, held: Held) -> Held:
        """Choose or act on one page, or end it.

        Raises:
            LostError: somebody else has it. StorageError: nobody knows how far this step came.
        """
        task = held.task
        if task.shown.aborting:
            return await self._end(held, "aborted")
        try:
            if task.shown.action == INDEX and task.shown.done < len(task.queues):
                return await self._index(held)
            if task.shown.action in EMPTYING and not emptied(task):
                return await self._empty(held)
            if not task.collected:
                return await self._collect(held)
            if task.page < task.pages and task.shown.action not in (SEARCH, INDEX, *EMPTYING):
                return await self._act(held)
        except StorageError:
            raise
        except CorralError as error:
            return await self._end(held, "failed", code_of(error))
        return await self._end(held, "done")

    async def _collect(self, held: Held) -> Held:
        """Choose the next jobs; nothing is done to any of them before all are chosen."""
        task = held.task
        found = await self._ground.monitor.jobs(
            task.query or "", states=[JobState(one) for one in task.states], limit=PAGE, cursor=task.cursor,
            reveal=task.reveal, visible=task.visible, now=task.shown.created_at,
        )  # fmt: skip
        count = task.shown.total or 0
        room = PAGE if task.most is None else min(PAGE, task.most - count)
        choices = [Choice(row.queue, row.id, stamp_of(row)) for row in found.items[:room]]
        if choices:
            await self.ledger.add_page(task, choices, now=self._ground.store_now())
        count += len(choices)
        through = found.scan.cursor is None or (task.most is not None and count >= task.most)
        if through and task.expect is not None:
            check_expected(task.expect, count)
        seen = task.seen(total=count, unread=task.shown.unread + found.scan.unread)
        seen = seen.seen(examined=found.scan.examined, candidates=found.scan.candidates)
        if task.shown.action == SEARCH:
            more = found.scan.cursor is not None or len(found.items) > room
            seen = seen.seen(done=count, capped=through and more, eta_ms=self._search_eta(seen))
        after = replace(seen, cursor=found.scan.cursor, pages=task.pages + bool(choices), collected=through)
        return await self._save(after.seen(state=_state(after)), held.version)

    async def _act(self, held: Held) -> Held:
        ground = self._ground
        task = held.task if held.task.page else replace(held.task, acting_at=ground.at())
        number = task.pages - 1 - task.page if task.reverse else task.page
        page = await self.ledger.page(task, number, now=ground.store_now())
        acted = await act(
            ground.storage, task, page, again=held.again, at=ground.at(), now=ground.store_now()
        )  # fmt: skip
        after = booked(task, acted)
        return await self._save(after.seen(eta_ms=self._eta(after.shown)), held.version)

    async def _index(self, held: Held) -> Held:
        after = await index_step(self._ground, held.task)
        return await self._save(after.seen(eta_ms=self._search_eta(after)), held.version)

    async def _empty(self, held: Held) -> Held:
        after = await empty_step(self._ground, held.task)
        return await self._save(after.seen(eta_ms=self._eta(after.shown)), held.version)

    def _search_eta(self, task: Task) -> int | None:
        shown = task.shown
        if not shown.examined or shown.candidates is None or shown.started_at is None:
            return None
        return (self._ground.at() - shown.started_at) * max(0, shown.candidates - shown.examined) // shown.examined

    def _eta(self, shown: Operation) -> int | None:
        through = shown.done + shown.failed + shown.skipped
        if not through or shown.total is None or shown.started_at is None:
            return None
        return (self._ground.at() - shown.started_at) * max(0, shown.total - through) // through

    async def _save(self, task: Task, version: int) -> Held:
        """Write down how far it is. Only who wants it to stop writes over the task of somebody else."""
        now = self._ground.store_now()
        while True:
            written = await self.ledger.save(task, version, now=now)
            if written is not None:
                return Held(task, written, again=False)
            loaded = await self.ledger.load(task.shown.id, now=now)
            if loaded is None or loaded[0].owner != self.name:
                raise LostError(task.shown.id)
            version = loaded[1]
            task = task.seen(aborting=loaded[0].shown.aborting)

    async def _end(self, held: Held, state: str, problem: str = "") -> Held:
        task, now = held.task, self._ground.store_now()
        at = self._ground.at()
        ended = replace(task, owner="").seen(state=state, problem=problem, finished_at=at, eta_ms=None)
        written = await self.ledger.save(ended, held.version, now=now)
        if written is None:  # somebody wants it to stop, or somebody else has it
            return await self._end(await self._save(task, held.version), state, problem)
        await audit.write(self._ground.storage, _entry(ended, self._ground.next_id(at), at), now)
        await self.ledger.close(ended, now=now)
        self._mine.discard(ended.shown.id)
        return Held(ended, written, again=False)


def _told(loop: asyncio.Task[None]) -> None:
    """Say at once when nobody looks for operations any more: whoever runs this may not leave it for weeks."""
    if not loop.cancelled() and (error := loop.exception()) is not None:
        log.error("operations are not carried out any more: %r", error, exc_info=error)


def check_expected(expected: int, found: int) -> None:
    """Raises: SelectionChangedError, when there are over a tenth more or fewer jobs than were expected."""
    if abs(found - expected) > expected * TOLERANCE:
        raise SelectionChangedError(expected, found)


def _state(task: Task) -> str:
    return "running" if task.collected else "collecting"


def _entry(task: Task, entry_id: str, at: Millis) -> AuditEntry:
    shown = task.shown
    outcome = {"done": "ok", "aborted": "ok"}.get(shown.state, "refused")
    counts = {"state": shown.state, "done": shown.done, "failed": shown.failed, "skipped": shown.skipped}
    return AuditEntry(
        id=entry_id, at=at, actor=task.actor, action="operation.end", target={"operation": shown.id},
        count=shown.done, query=shown.query, reason=shown.reason, outcome=outcome, problem=shown.problem,
        after=kept(counts),
    )  # fmt: skip
