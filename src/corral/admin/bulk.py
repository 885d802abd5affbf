"""The write model's verbs about operations: start one over a search or over named jobs, look at it, stop it."""

from collections.abc import Sequence

from corral.admin.acting import POSSIBLE, USUAL, chosen
from corral.admin.base import DeskBase, Note
from corral.admin.ledger import Choice, Task
from corral.admin.objects import Operation, Preview
from corral.admin.operations import PAGE, TOLERANCE, Operations, check_expected
from corral.errors import ConfigError, RecordNotFoundError
from corral.job import JobId, JobState
from corral.monitor.grammar import Query, parse
from corral.monitor.plan import check_paths
from corral.naming import sortable_id
from corral.options import check_priority
from corral.timing import Millis

#: Jobs that can be named one by one: as many as a flow may have.
MOST = 20_000
#: For how long a preview counts (seconds), and the jobs that it names.
PREVIEW_S, SAMPLE = 2.0, 10
#: Every job of a drip is a delayed one: a day between two is a mistake of units.
MAX_EVERY_MS: Millis = 86_400_000


class BulkVerbs(DeskBase):
    """Changes to many jobs at once. `Operations.run` carries them out, in this process or another.

    A search is over the jobs in which the action can be done: `retry` finds failed jobs unless the search names states,
    `promote` delayed ones, `cancel` those that have not ended, `remove` all but active ones, and `edit_priority` those
    that have not started.
    """

    runner: Operations

    async def preview(
        self, action: str, *, query: str | None = None, ids: Sequence[tuple[str, JobId]] = (), most: int | None = None,
        visible: Sequence[str] = ("*",), reveal: bool = False,
    ) -> Preview:  # fmt: skip
        """What `start` would act on now. It counts for two seconds.

        Raises:
            ConfigError: an unknown action, or both or neither of query and ids. QueryError: a search that cannot be
                read. RedactedFieldError: without `reveal`, a search by what is hidden.
        """
        states = self._check(action, query, ids, most)
        if query is None:
            return Preview(count=len(dict.fromkeys(ids)), sample=tuple(ids[:SAMPLE]))
        return await self._count(query, states, most, visible, reveal=reveal)

    async def start(
        self, action: str, *, query: str | None = None, ids: Sequence[tuple[str, JobId]] = (), most: int | None = None,
        expect: int | None = None, value: int | None = None, reset_attempts: bool = True, every_ms: Millis = 0,
        visible: Sequence[str] = ("*",), reveal: bool = False,
    ) -> Operation:  # fmt: skip
        """Begin to act on all jobs that a search finds, or on these (queue, id).

        The jobs are chosen before anything is done to any of them. Those that change afterwards are left alone.

        Args:
            action: retry, promote, cancel, remove or edit_priority.
            most: at most so many of what the search finds, the newest.
            expect: how many whoever asks was shown.
            value: the new priority.
            every_ms: of a retry: one job each so many milliseconds instead of all at once.
            visible: patterns of the queues that there are for whoever asks.
            reveal: whether they may search by what is sensitive.

        Raises:
            SelectionChangedError: over a tenth more or fewer jobs than expected. As for `preview`.
        """
        async with self._noting(f"bulk.{action}", query=query) as note:
            states = self._check(action, query, ids, most)
            if action == "edit_priority":
                check_priority(value)
            return await self._start(
                note, action, query=query, ids=ids, most=most, expect=expect, value=value, states=states,
                reset_attempts=reset_attempts, every_ms=check_every(every_ms), visible=tuple(visible), reveal=reveal,
            )  # fmt: skip

    async def operations(self, *, limit: int = 50) -> list[Operation]:
        """Operations, the newest first. Raises: ConfigError: a limit beyond 1 to 500."""
        if isinstance(limit, bool) or not 1 <= limit <= 500:
            raise ConfigError(f"limit must be 1 to 500, not {limit!r}", key="limit")
        return await self.runner.ledger.recent(limit, now=self.ground.store_now())

    async def operation(self, operation_id: str) -> Operation:
        """One operation. Raises: RecordNotFoundError."""
        loaded = await self.runner.ledger.load(operation_id, now=self.ground.store_now())
        if loaded is None:
            raise RecordNotFoundError("operation", operation_id)
        return loaded[0].shown

    async def abort(self, operation_id: str) -> Operation:
        """Let an operation stop after the page that is under way; what is done stays done.

        One that has ended stays as it is. Raises: RecordNotFoundError.
        """
        async with self._noting("operation.abort", operation=operation_id) as note:
            ledger, now = self.runner.ledger, self.ground.store_now()
            while True:
                loaded = await ledger.load(operation_id, now=now)
                if loaded is None:
                    raise RecordNotFoundError("operation", operation_id)
                task, version = loaded
                note.before = {"state": task.shown.state}
                if task.shown.ended or task.shown.aborting:
                    return task.shown
                wanted = task.seen(aborting=True)
                if not task.owner:
                    wanted = wanted.seen(state="aborted", finished_at=self.ground.at())
                if await ledger.save(wanted, version, now=now) is not None:
                    if wanted.shown.ended:
                        await ledger.close(wanted, now=now)
                    note.count = wanted.shown.done
                    return wanted.shown

    # -- between them ------------------------------------------------------------------------------------------------

    async def _start(
        self, note: Note, action: str, *, query: str | None = None, ids: Sequence[tuple[str, JobId]] = (),
        most: int | None = None, expect: int | None = None, value: int | None = None,
        states: tuple[JobState, ...] = (), reset_attempts: bool = True, every_ms: Millis = 0,
        visible: tuple[str, ...] = ("*",), reveal: bool = False,
    ) -> Operation:  # fmt: skip
        if expect is not None and query is not None:
            found = await self._count(query, states, most, visible, reveal=reveal)
            if found.exact or found.count > expect * (1 + TOLERANCE):
                check_expected(expect, found.count)
        elif query is not None and not reveal:
            check_paths(parse(query, now=self.ground.at()), self.ground.sensitive)
        at = self.ground.at()
        choices = await self._choices(ids)
        operation = Operation(
            id=f"op_{sortable_id(at)}", action=action, state="pending", query=note.query, queues=visible,
            by=self.actor.sub, reason=self.reason, created_at=at, total=None if query is not None else len(choices),
        )  # fmt: skip
        task = Task(
            shown=operation, actor=self.actor, query=query, visible=visible, reveal=reveal, states=states, most=most,
            expect=expect, value=value, reset_attempts=reset_attempts, every_ms=every_ms, reverse=query is not None,
            collected=query is None,
        )  # fmt: skip
        await self.runner.ledger.open(task, choices, PAGE, now=self.ground.store_now())
        note.target["operation"] = operation.id
        note.count = operation.total
        self.runner.wake(operation.id)
        return operation

    def _check(
        self, action: str, query: str | None, ids: Sequence[tuple[str, JobId]], most: int | None
    ) -> tuple[JobState, ...]:  # fmt: skip
        """The states in which jobs are looked for."""
        if action not in USUAL:
            raise ConfigError(f"action must be one of {', '.join(USUAL)}, not {action!r}", key="action")
        if (query is None) == (not ids):
            raise ConfigError("give a query or ids, one of them", key="select")
        if len(ids) > MOST:
            raise ConfigError(f"ids must be at most {MOST:,} jobs, not {len(ids):,}: use a query", key="ids")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ConfigError(f"most must be a number of jobs, 1 or more, not {most!r}", key="most")
        read = Query() if query is None else parse(query, now=self.ground.at())
        return tuple(POSSIBLE[action] if any(read.of("state")) else USUAL[action])

    async def _choices(self, ids: Sequence[tuple[str, JobId]]) -> list[Choice]:
        """The named jobs in their order, as they are now."""
        found: dict[tuple[str, JobId], Choice] = {}
        wanted = list(dict.fromkeys(ids))
        for queue in dict.fromkeys(queue for queue, _ in wanted):
            mine = [job_id for home, job_id in wanted if home == queue]
            for begin in range(0, len(mine), PAGE):
                some = mine[begin : begin + PAGE]
                for job_id, job in zip(some, await self.storage.get(queue, some, lean=True), strict=True):
                    found[queue, job_id] = chosen(job, queue, job_id)
        return [found[one] for one in wanted]

    async def _count(
        self, query: str, states: Sequence[JobState], most: int | None, visible: Sequence[str], *, reveal: bool
    ) -> Preview:
        monitor = self.ground.monitor
        until = monitor.seconds() + PREVIEW_S
        at, cursor, count, unread = self.ground.at(), None, 0, 0
        sample: list[tuple[str, JobId]] = []
        while True:
            found = await monitor.jobs(
                query, states=states, limit=PAGE, cursor=cursor, reveal=reveal, visible=visible, now=at
            )
            sample += [(row.queue, row.id) for row in found.items[: SAMPLE - len(sample)]]
            count, unread = count + len(found.items), unread + found.scan.unread
            cursor = found.scan.cursor
            if found.total is not None:  # nothing but queues and states: they are counted already
                return Preview(count=_at_most(found.total, most), sample=tuple(sample))
            if cursor is None or (most is not None and count >= most):
                return Preview(count=_at_most(count, most), exact=not unread or count == most, sample=tuple(sample))
            if monitor.seconds() >= until:
                return Preview(count=count, exact=False, sample=tuple(sample))


def _at_most(count: int, most: int | None) -> int:
    return count if most is None else min(count, most)


def check_every(every_ms: object) -> Millis:
    """The time between two jobs of a drip. Raises: ConfigError."""
    if isinstance(every_ms, bool) or not isinstance(every_ms, int) or not 0 <= every_ms <= MAX_EVERY_MS:
        raise ConfigError(f"every_ms must be 0 to {MAX_EVERY_MS:,}, not {every_ms!r}", key="every_ms")
    return every_ms
