"""The monitor's verbs about jobs."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from corral.errors import ConfigError, JobNotFoundError
from corral.flow.read import get_all
from corral.job import JobId, JobState
from corral.monitor.attempts import attempts_of
from corral.monitor.base import MonitorBase
from corral.monitor.completion import Completion, Vocabulary, completions
from corral.monitor.grammar import parse
from corral.monitor.lean import LeanStorage
from corral.monitor.match import Ref
from corral.monitor.objects import JobDetail, JobRow, Jobs
from corral.monitor.preview import job_row
from corral.monitor.search import Search
from corral.queue.explain import gather
from corral.sensitive import shown_text
from corral.storage.port import LOOK
from corral.timing import Millis
from corral.why import Why, why

#: The most jobs of one answer.
MOST = 500
#: The longest text of a job that is read to tell its attempts.
READ = 16 * 1024 * 1024


class Counted(NamedTuple):
    """How many there are; not `whole`: at least so many."""

    value: int
    whole: bool


class JobVerbs(MonitorBase):
    """Lists, searches, one job."""

    async def jobs(
        self, q: str = "", *, queue: str | None = None, states: Sequence[JobState] = (), limit: int = 50,
        cursor: str | None = None, reveal: bool = False, visible: Sequence[str] = ("*",), now: Millis | None = None,
    ) -> Jobs:  # fmt: skip
        """Jobs that a search asks for (see `corral.monitor.grammar`), newest first in each state of each queue.

        At most 5,000 jobs are looked at, for 200 ms; `scan` says how far that was, and its cursor goes on.

        Args:
            visible: patterns of the queues that the reader may see; the others are as if they were not there.
            reveal: whether the reader may see what is sensitive.
            now: what ages count back from, when a search that began earlier goes on.

        Raises:
            QueryError: a search or cursor that cannot be read. RedactedFieldError: without `reveal`, a filter on what
                is hidden. ConfigError: a limit beyond 1 to 500.
        """
        if not 1 <= limit <= MOST:
            raise ConfigError(f"limit must be 1 to {MOST}, not {limit!r}", key="limit")
        found = await self._search(
            _whole(q, queue, states), queue, limit, cursor, reveal, visible, self.at() if now is None else now
        )
        self._words.note(found.items)
        return found

    async def count(
        self, q: str = "", *, queue: str | None = None, states: Sequence[JobState] = (), reveal: bool = False,
        visible: Sequence[str] = ("*",),
    ) -> Counted:  # fmt: skip
        """How many jobs a search finds, as far as `jobs` looks at once. Args and errors are those of `jobs`."""
        found = await self._search(
            _whole(q, queue, states), queue, 1, None, reveal, visible, self.at(), counting=True
        )  # fmt: skip
        return Counted(found.total or 0, found.scan.complete)

    async def _search(
        self, text: str, queue: str | None, limit: int, cursor: str | None, reveal: bool, visible: Sequence[str],
        at: Millis, *, counting: bool = False,
    ) -> Jobs:  # fmt: skip
        query = parse(text, now=at)
        search = Search(
            self.storage, query, now=at, limit=limit, reveal=reveal, sensitive=self._sensitive, clock=self.seconds,
            store_now=self.store_now(), counting=counting,
        )  # fmt: skip
        if queue is None:
            return await search.run(await self._visible(visible), cursor)
        seen = any(fnmatchcase(queue, pattern) for pattern in visible)
        # Asking for all queues goes through the keys of a Redis that Node uses too.
        around = await self._visible(visible) if any(query.of("flow")) else None
        return await search.run([queue] if seen else [], cursor, around=around)

    async def rows(self, refs: Sequence[Ref], *, reveal: bool = False) -> list[JobRow | None]:
        """These jobs as a list shows them, in order; None for those that are gone."""
        at = self.at()
        return [
            None if job is None else job_row(job, at, reveal=reveal, sensitive=self._sensitive)
            for job in await get_all(LeanStorage(self.storage), refs)
        ]

    async def job(self, queue: str, job_id: JobId, *, reveal: bool = False) -> JobDetail:
        """One job; texts of more than 64 KB are left out, and its attempts when it has one of more than 16 MB.

        Raises: JobNotFoundError.
        """
        [lean] = await self.storage.get(queue, [job_id], lean=True)
        if lean is None:
            raise JobNotFoundError(queue, job_id)
        sizes = lean.sizes
        largest = 0 if sizes is None else max(sizes.data, sizes.result, sizes.progress)
        whole = largest <= LOOK
        # Its attempts and traces are in the same record: 10 ms with a payload of 3 MB, and worth it for one job.
        tried = (lean.attempts_made or lean.crashes) and largest <= READ
        job = (await self.storage.get(queue, [job_id]))[0] if whole or tried else lean
        if job is None:
            raise JobNotFoundError(queue, job_id)
        hide = (*self._sensitive, *job.options.sensitive)

        def seen(text: str | None) -> str | None:
            return None if text is None or not whole else text if reveal else shown_text(text, hide)

        return JobDetail(
            row=job_row(lean, self.at(), reveal=reveal, sensitive=self._sensitive),
            data=seen(job.data),
            result=seen(job.result),
            progress=seen(job.progress),
            reason=job.failed_reason,
            traces=job.traces,
            attempts=attempts_of(job),
            whole=whole,
            timeout_ms=job.options.timeout_ms,
            lifespan_ms=job.options.lifespan_ms,
            scheduled_for=job.scheduled_for,
            options=job.options,
            parent=job.parent,
            attempts_started=job.attempts_started,
        )

    async def why(self, queue: str, job_id: JobId) -> Why:
        """Why a job is not running, with remedies, and when it may start. Raises: JobNotFoundError."""
        [job] = await self.storage.get(queue, [job_id], lean=True)
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return why(job, await gather(self.storage, job, self.store_now()))

    async def complete(self, text: str, at: int | None = None, *, visible: Sequence[str] = ("*",)) -> list[Completion]:
        """What could be typed at a place of a search (its end): fields, states, queues, job names, schedules."""
        facts, _ = await self.snapshot()
        queues = await self._visible(visible)
        handled = (name.partition("/") for one in facts.workers for name in one.handlers)
        words = Vocabulary(
            queues=tuple(queues),
            names=tuple(
                sorted(
                    {name for queue, _, name in handled if queue in queues and name != "*"}
                    | set(self._words.of("name", queues))
                )
            ),
            workers=tuple(sorted({one.id for one in facts.workers if set(one.queues) & set(queues)})),
            schedules=self._words.of("schedule", queues),
            tags=self._words.of("tag", queues),
            groups=self._words.of("group", queues),
        )
        return completions(text, len(text) if at is None else at, words)

    async def _visible(self, patterns: Sequence[str]) -> list[str]:
        names = [one.name for one in await self.storage.queues()]
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _whole(q: str, queue: str | None, states: Sequence[JobState]) -> str:
    """A search with the queue and the states that are asked for beside it."""
    parts = [q, "" if queue is None else f"queue:{_quoted(queue)}"]
    parts.append(f"state:{','.join(dict.fromkeys(str(state) for state in states))}" if states else "")
    return " ".join(part for part in parts if part)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
