"""The write model's verbs about queues: pause, resume, settings, holds, and deleting what is in them."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from corral.admin.base import DeskBase
from corral.admin.emptying import SLICE, kept_in, raze
from corral.admin.hiding import changed
from corral.admin.objects import Cleaned
from corral.errors import ConfigError, QueueBusyError
from corral.job import JobId, JobState
from corral.options import QueueSettings, RateLimit
from corral.pauses import Pause, forget_pause, note_pause
from corral.storage.port import QueueCounts, QueueInfo, Selection
from corral.timing import Millis, Seconds, to_ms

#: Ids of an answer, and jobs that a dry run looks at.
SAMPLE, EXAMINED = 10, 5_000
#: The most jobs of one call.
MOST = 1_000_000
CLEANABLE = frozenset(JobState) - {JobState.ACTIVE}


class QueueVerbs(DeskBase):
    """What people do with whole queues.

    Raises (each verb):
        QueueNotFoundError: no such queue.
    """

    async def pause(self, queue: str, *, for_s: Seconds | None = None) -> QueueInfo:
        """Stop handing out jobs, on every worker; running ones finish. With `for_s` it goes on by itself after that."""
        async with self._noting("queue.pause", queue=queue) as note:
            await self.ground.known(queue)
            at = self.ground.at()
            until = None if for_s is None else at + to_ms(for_s, "for_s", minimum=1)
            pause = Pause(since=at, until=until, by=self.actor.sub, reason=self.reason)
            now = self.ground.store_now()
            # First the note: a process that dies in between leaves a queue that goes on, not one that is stuck.
            await note_pause(self.storage, queue, pause, now=now)
            settings = QueueSettings(paused=True, pause_reason=self.reason)
            info = await self.storage.configure(queue, settings, now=now)
            note.after = {"paused": True, "until": until}
            return info

    async def resume(self, queue: str) -> QueueInfo:
        """Hand out jobs again."""
        async with self._noting("queue.resume", queue=queue):
            await self.ground.known(queue)
            now = self.ground.store_now()
            info = await self.storage.configure(queue, QueueSettings(paused=False, pause_reason=""), now=now)
            await forget_pause(self.storage, queue, now=now)
            return info

    async def change(self, queue: str, settings: QueueSettings) -> QueueInfo:
        """Change limits, retention or groups; every worker obeys from its next claim on. For pauses there is `pause`.

        Raises:
            ConfigError: it says something about a pause.
        """
        async with self._noting("queue.settings", queue=queue) as note:
            await self.ground.known(queue)
            if settings.paused is not UNSET or settings.pause_reason is not UNSET:
                raise ConfigError("a queue is paused and resumed by verbs of their own", key="paused")
            now = self.ground.store_now()
            before = await self.storage.configure(queue, QueueSettings(), now=now)
            after = await self.storage.configure(queue, settings, now=now)
            note.before, told = changed(before, after)
            # What single groups were told before is not among a queue's settings.
            note.after = told if isinstance(settings.groups, UnsetType) else {**told, "groups": settings.groups}
            return after

    async def lift(self, queue: str) -> QueueInfo:
        """End what holds a queue for a while: a hold (a handler's, a breaker's, a person's), a rate limit's window.

        The rate limit stays, and its window begins anew.
        """
        async with self._noting("queue.lift", queue=queue) as note:
            await self.ground.known(queue)
            now = self.ground.store_now()
            before = await self.storage.configure(queue, QueueSettings(), now=now)
            after = await self.storage.configure(queue, QueueSettings(hold=None), now=now)
            note.before, note.after = changed(before, after)
            # A limit that is changed begins anew. It is changed and changed back, and so it holds all the time.
            limit = before.rate_limit
            other = RateLimit(1_000_000) if limit is None else RateLimit(limit.count, limit.per + 0.001)
            await self.storage.configure(queue, QueueSettings(rate_limit=other), now=now)
            return await self.storage.configure(queue, QueueSettings(rate_limit=limit), now=now)

    async def release(self, queue: str, key: str) -> JobId | None:
        """Let others with a deduplication id in from now on; answers the job that kept them out."""
        async with self._noting("dedup.release", queue=queue, dedup=key) as note:
            await self.ground.known(queue)
            kept_out = await self.storage.deduplication(queue, key, remove=True, now=self.ground.store_now())
            note.touched([] if kept_out is None else [kept_out])
            return kept_out

    async def drain(self, queue: str, *, delayed: bool = False, dry_run: bool = False) -> int:
        """Delete what waits, with `delayed` also what is due later; answers how many. Running jobs go on."""
        states = drained(delayed=delayed)
        if dry_run:
            [counts] = await self.storage.counts([await self.ground.known(queue)])
            return counts.waiting + (counts.delayed if delayed else 0)
        async with self._noting("queue.drain", queue=queue, states=_words(states)) as note:
            await self.ground.known(queue)
            gone = await self._remove(queue, states, None, MOST)
            note.touched(gone)
            return len(gone)

    async def clean(
        self, queue: str, states: Sequence[JobState], *, older_ms: Millis = 0, limit: int = 1_000, dry_run: bool = False
    ) -> Cleaned:  # fmt: skip
        """Delete jobs that are in these states for at least `older_ms` (pending ones: that were added so long ago).

        A dry run counts and names them; of pending jobs it looks at 5,000.

        Raises:
            ConfigError: no state, active jobs, an age below 0 or a limit beyond 1 to 1,000,000.
        """
        chosen = frozenset(states)
        if dry_run:
            check_clean(chosen, older_ms, limit)
            return await self._would_clean(await self.ground.known(queue), chosen, older_ms, limit)
        async with self._noting("queue.clean", queue=queue, states=_words(chosen)) as note:
            check_clean(chosen, older_ms, limit)
            await self.ground.known(queue)
            gone = await self._remove(queue, chosen, older_ms or None, limit)
            note.touched(gone)
            note.after = {"older_ms": older_ms, "limit": limit}
            return Cleaned(count=len(gone), sample=tuple(gone[:SAMPLE]))

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Delete a queue and everything in it, its schedules included.

        Raises:
            QueueBusyError: jobs of it run, and `force` is not given.
        """
        async with self._noting("queue.obliterate", queue=queue) as note:
            note.count = kept_in(await self._at_rest(queue, force=force))
            await raze(self.ground, queue, force=force)

    # -- between them ------------------------------------------------------------------------------------------------

    async def _at_rest(self, queue: str, *, force: bool) -> QueueCounts:
        """The counts of a queue that may be deleted now. Raises: QueueNotFoundError, QueueBusyError."""
        [counts] = await self.storage.counts([await self.ground.known(queue)])
        if counts.active and not force:
            raise QueueBusyError(queue, counts.active)
        return counts

    async def _remove(
        self, queue: str, states: frozenset[JobState], older_ms: Millis | None, limit: int
    ) -> list[JobId]:
        gone: list[JobId] = []
        while len(gone) < limit:
            size = min(SLICE, limit - len(gone))  # a slice at a time: other callers get their turn in between
            which = Selection(states=states, older_than_ms=older_ms, limit=size)
            some = await self.storage.remove(queue, which, now=self.ground.store_now())
            gone += some
            if len(some) < size:
                break
        return gone

    async def _would_clean(
        self, queue: str, states: frozenset[JobState], older_ms: Millis, limit: int
    ) -> Cleaned:  # fmt: skip
        until = self.ground.at() - older_ms
        count, exact = 0, True
        sample: list[JobId] = []
        for state in sorted(states):
            if state.finished:
                found, ids = await self._finished_by(queue, state, until)
            else:
                found, ids, whole = await self._added_by(queue, state, until)
                exact = exact and whole
            count += found
            sample += ids
        return Cleaned(count=min(count, limit), sample=tuple(sample[:SAMPLE]), exact=exact or count >= limit)

    async def _finished_by(self, queue: str, state: JobState, until: Millis) -> tuple[int, list[JobId]]:
        """How many ended by then, and the newest of them: they stand by when they ended, so halving finds the place."""
        total = (await self.storage.page(queue, [state], limit=0, lean=True)).total
        low, high = 0, total
        while low < high:
            middle = (low + high) // 2
            page = await self.storage.page(queue, [state], start=middle, limit=1, lean=True)
            late = bool(page.items) and (page.items[0].finished_at or 0) > until
            low, high = (middle + 1, high) if late else (low, middle)
        page = await self.storage.page(queue, [state], start=low, limit=SAMPLE, lean=True)
        return total - low, [job.id for job in page.items]

    async def _added_by(self, queue: str, state: JobState, until: Millis) -> tuple[int, list[JobId], bool]:
        """How many of the pending jobs were added by then; as far as they were looked at."""
        found: list[JobId] = []
        start, total = 0, 1
        while start < min(total, EXAMINED):
            page = await self.storage.page(queue, [state], start=start, limit=500, lean=True)
            total = page.total
            found += [job.id for job in page.items if job.created_at <= until]
            start += 500
        return len(found), found[:SAMPLE], total <= EXAMINED


def drained(*, delayed: bool) -> frozenset[JobState]:
    """The states that a drain empties."""
    return frozenset({JobState.WAITING, JobState.DELAYED} if delayed else {JobState.WAITING})


def _words(states: frozenset[JobState]) -> str:
    return ",".join(sorted(states))


def check_clean(states: frozenset[JobState], older_ms: object, limit: object) -> None:
    """Raises: ConfigError, what cannot be cleaned so."""
    if not states or not states <= CLEANABLE:
        raise ConfigError(f"state must be one or more of {', '.join(sorted(CLEANABLE))}", key="state")
    if isinstance(older_ms, bool) or not isinstance(older_ms, int) or older_ms < 0:
        raise ConfigError(f"older_ms must be 0 or more, not {older_ms!r}", key="older_ms")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ConfigError(f"limit must be 1 to {MOST:,}, not {limit!r}", key="limit")
