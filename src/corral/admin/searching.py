"""The write model's verbs about searches: in the background, and the index that makes some of them quick."""

from corral.admin.bulk import BulkVerbs
from corral.admin.ledger import TOGETHER, Choice, Task
from corral.admin.objects import INDEX, SEARCH, Operation, Results
from corral.admin.operations import PAGE
from corral.errors import ConfigError, RecordNotFoundError
from corral.job import JobState
from corral.naming import sortable_id

#: Jobs that one search may find: 40 pages of 500.
MOST_FOUND = 20_000


class SearchVerbs(BulkVerbs):
    """A search for which one request would take too long goes over everything, as an operation.

    What it has found stands in the store for a day.
    """

    async def search(
        self, query: str, *, most: int = MOST_FOUND, visible: tuple[str, ...] = ("*",), reveal: bool = False
    ) -> Operation:
        """Begin to look through all jobs that are there. `found` has what was found so far.

        Args:
            most: it ends when it has found so many, the newest of each state first.
            visible: patterns of the queues that there are for whoever asks.
            reveal: whether they may search by what is sensitive.

        Raises:
            QueryError: a search that cannot be read. RedactedFieldError: without `reveal`, a search by what is hidden.
            ConfigError: `most` is not 1 to 20,000.
        """
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_FOUND:
            raise ConfigError(f"most must be 1 to {MOST_FOUND:,} jobs, not {most!r}", key="most")
        async with self._noting("job.search", query=query) as note:
            return await self._start(
                note, SEARCH, query=query, most=most, states=tuple(JobState), visible=visible, reveal=reveal
            )

    async def found(self, operation_id: str, *, begin: int = 0, limit: int = 50) -> Results:
        """What a search has found so far, from place `begin` on.

        Raises:
            RecordNotFoundError: no such operation, or one that is no search. ConfigError: a limit beyond 1 to 500.
        """
        if isinstance(limit, bool) or not 1 <= limit <= PAGE:
            raise ConfigError(f"limit must be 1 to {PAGE}, not {limit!r}", key="limit")
        now = self.ground.store_now()
        loaded = await self.runner.ledger.load(operation_id, now=now)
        if loaded is None or loaded[0].shown.action != SEARCH:
            raise RecordNotFoundError("operation", operation_id)
        task = loaded[0]
        shown = task.shown
        refs: list[Choice] = []
        passed = number = read = 0
        while number < task.pages and len(refs) < limit:  # as they were found: a page may have one job, or 500
            pages = await self.runner.ledger.some_pages(task, number, now=now)
            for page in pages:
                refs += page[max(0, begin - passed) :]
                passed += len(page)
            number, read = number + TOGETHER, read + len(pages)
        return Results(
            refs=tuple((one.queue, one.id) for one in refs[:limit]),
            total=shown.total or 0,
            complete=shown.state == "done" and not shown.capped and not shown.unread,
            expired=read < min(number, task.pages),
            reveal=task.reveal,
        )

    async def rebuild_index(self, queue: str | None = None) -> Operation:
        """Begin to make the index anew, of one queue or of all; the old one serves until the new one is complete.

        Raises:
            QueueNotFoundError: no such queue.
        """
        async with self._noting("index.rebuild", queue=queue) as note:
            if queue is not None:
                await self.ground.known(queue)
            queues = sorted([one.name for one in await self.storage.queues()] if queue is None else [queue])
            counts = await self.storage.counts(queues)
            at = self.ground.at()
            operation = Operation(
                id=f"op_{sortable_id(at)}", action=INDEX, state="pending", queues=("*",) if queue is None else (queue,),
                by=self.actor.sub, reason=self.reason, created_at=at, total=len(queues),
                candidates=sum(one.completed + one.failed for one in counts),
            )  # fmt: skip
            task = Task(shown=operation, actor=self.actor, queues=tuple(queues), collected=True)
            await self.runner.ledger.open(task, (), PAGE, now=self.ground.store_now())
            note.target["operation"] = operation.id
            note.count = len(queues)
            self.runner.wake(operation.id)
            return operation
