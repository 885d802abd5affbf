"""The questions and verbs of the command line. Commands know these and not who answers.

Answers are rows: plain fields under the names that `-o json` prints, instants as RFC 3339, lengths of time in seconds
(`*_s`). Both back ends give the same fields; what an API does not tell is None.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from msgspec import Struct

Row: TypeAlias = Mapping[str, object]
Ref: TypeAlias = tuple[str, str]  #: queue and id of a job


class Stretch(Struct, frozen=True, kw_only=True):
    """Some of the jobs a search found. `cursor` goes on; `complete`: these are the last of them."""

    rows: Sequence[Row]
    cursor: str | None = None
    complete: bool = True
    total: int | None = None
    examined: int = 0


class Draft(Struct, frozen=True, kw_only=True):
    """A job to be added, as it was typed: its payload as a value and options under the names of `add()`."""

    name: str
    data: object
    options: Mapping[str, object] = {}
    line: int | None = None  #: where it stands in a file


class ScheduleDraft(Struct, frozen=True, kw_only=True):
    """A schedule to be made or changed. None leaves a field as it is, or is nothing in a new one."""

    key: str
    queue: str
    name: str | None = None
    data: object = None
    cron: str | None = None
    every: float | None = None
    tz: str | None = None
    limit: int | None = None


class Reading(Protocol):
    """What can be asked."""

    async def about(self) -> str:
        """Where the answers come from, in a line."""
        ...

    async def queues(self, match: Sequence[str] = ()) -> list[Row]:
        """Queues by name, with counts, rates and times of the last 15 minutes."""
        ...

    async def has(self, queue: str) -> bool:
        """Whether there is such a queue, now."""
        ...

    async def queue(self, name: str) -> Row:
        """One queue with its settings. Raises: QueueNotFoundError."""
        ...

    async def counts(self, queue: str) -> Row:
        """Jobs by state, of this moment."""
        ...

    async def worked(self, queue: str, window: float) -> Row:
        """Jobs done, failed and tried again in the last `window` seconds, and their mean times in seconds."""
        ...

    async def overview(self) -> Row:
        """Totals, workers, and what wants attention."""
        ...

    async def series(self, queue: str | None, points: int) -> list[Row]:
        """What became of jobs in each of the last minutes, oldest first."""
        ...

    async def jobs(self, query: str, *, queue: str | None = None, limit: int, cursor: str | None = None) -> Stretch:
        """Jobs that a search finds. Raises: QueryError."""
        ...

    async def job(self, queue: str, job_id: str, *, reveal: bool = False) -> Row:
        """Everything about one job. Raises: JobNotFoundError."""
        ...

    async def payload(self, queue: str, job_id: str, *, hide: bool) -> object:
        """All of its payload. Without `hide` as it is stored: to be changed and written back.

        Raises:
            RedactedFieldError: not all of it may be seen.
        """
        ...

    async def why(self, queue: str, job_id: str) -> Row:
        """Why it does not run: reasons with remedies, and when it may start."""
        ...

    async def logs(self, queue: str, job_id: str, *, start: int, limit: int) -> tuple[Sequence[str], int]:
        """Lines of its log from this one on, and how many there are."""
        ...

    async def flow(self, queue: str, job_id: str, *, depth: int) -> Row:
        """It and all below it: rows with `children`."""
        ...

    async def flows(self, queue: str | None, limit: int) -> list[Row]:
        """Flows that are not finished."""
        ...

    async def failures(self, queue: str | None, window: float) -> list[Row]:
        """Kinds of failures, the latest first."""
        ...

    async def failure(self, queue: str | None, fingerprint: str, window: float) -> tuple[list[Row], list[Row]]:
        """One kind of failure, by queue, and its newest jobs."""
        ...

    async def schedules(self, queue: str | None, match: str, state: str | None) -> list[Row]:
        """Schedules by queue and key."""
        ...

    async def schedule(self, queue: str, key: str) -> Row:
        """Everything about one schedule. Raises: ScheduleNotFoundError."""
        ...

    async def runs(self, queue: str, key: str, count: int, tz: str) -> list[Row]:
        """The next runs of a schedule."""
        ...

    async def workers(self, queue: str | None) -> list[Row]:
        """Workers, those that are not seen any more included (`state` stale)."""
        ...

    def events(self, queue: str | None, types: Sequence[str]) -> AsyncIterator[Row]:
        """What happens from now on, until somebody stops listening."""
        ...

    async def names(self, kind: str, typed: str) -> list[str]:
        """What the shell may complete: names of queues, workers or schedules that begin so."""
        ...


class Acting(Protocol):
    """What can be done with jobs and queues. Each leaves an entry in the audit log."""

    together: int  #: so many jobs `add` stores in one step

    async def add(self, queue: str, drafts: Sequence[Draft]) -> list[Row]:
        """Add jobs: rows with `id` and `added` (False: one with this id was there)."""
        ...

    async def outcome(self, queue: str, job_id: str, timeout: float | None) -> Row:
        """Wait for the end of a job: `state`, `result` or `reason`. Raises: JobTimeoutError."""
        ...

    async def act(
        self, verb: str, queue: str, ids: Sequence[str], *, reset_attempts: bool = True, children: bool = False
    ) -> list[str]:
        """retry, promote, cancel or remove these jobs; those it could be done to."""
        ...

    async def edit(self, queue: str, job_id: str, change: Row) -> Row:
        """Change `data`, `priority` or `delay` (seconds) of a job. Raises: JobStateError."""
        ...

    async def rerun(self, queue: str, job_id: str, change: Row) -> Row:
        """A new job like this one, with another `data` or `queue` if wanted."""
        ...

    async def pause(self, queue: str, for_s: float | None) -> None: ...

    async def resume(self, queue: str) -> None: ...

    async def limit(self, queue: str, change: Row) -> Row:
        """Set `concurrency` (None: none) or `rate` ((count, seconds), None: none); the queue as it is then."""
        ...

    async def drainable(self, queue: str, *, delayed: bool) -> int:
        """How many jobs a drain would delete."""
        ...

    async def drain(self, queue: str, *, delayed: bool, background: bool) -> Row:
        """Delete what waits: the operation, which is through already unless it is done in the background."""
        ...

    async def cleanable(
        self, queue: str, states: Sequence[str], *, older_than: float, limit: int
    ) -> Mapping[str, int]:  # fmt: skip
        """How many finished jobs ended long enough ago, by state; of each no more than the limit."""
        ...

    async def clean(self, queue: str, state: str, *, older_than: float, limit: int, background: bool) -> Row:
        """Delete finished jobs that ended long enough ago: the operation, as above."""
        ...

    async def obliterate(self, queue: str, *, force: bool, background: bool) -> Row:
        """Delete a queue with all that is in it: the operation, as above. Raises: QueueBusyError."""
        ...

    async def put_schedule(self, draft: ScheduleDraft, *, fresh: bool) -> Row: ...

    async def act_on_schedule(self, verb: str, queue: str, key: str) -> Row:
        """run, pause, resume, remove or repair."""
        ...

    async def add_flow(self, tree: object) -> Row: ...

    async def retry_flow(self, queue: str, job_id: str, *, only_failed: bool) -> Row:
        """Run a flow's failed jobs again; the operation."""
        ...

    async def retry_failures(self, queue: str | None, fingerprint: str, *, every: float) -> Row:
        """Run the failed jobs of one kind again; the operation."""
        ...

    async def mute(self, kind: str, subject: str, until: float | None) -> None:
        """Say nothing about a failure or finding until then; None: speak again."""
        ...

    async def order(self, worker: str, command: str, value: int | None = None) -> str: ...

    async def answer(self, worker: str, command_id: str) -> str | None: ...


class Running(Protocol):
    """Long operations, and what belongs to the administration."""

    def driving(self) -> AbstractAsyncContextManager[None]:
        """While this is open, operations are worked on: here, or by the API, which does so anyway."""
        ...

    async def take_up(self, operation_id: str) -> None:
        """Go on with an operation that somebody else has begun, unless somebody is at it."""
        ...

    async def preview(self, action: str, query: str, most: int | None) -> Row:
        """What an operation would reach: `count`, `exact` and a `sample`."""
        ...

    async def start(
        self, action: str, query: str, most: int | None, *, expect: int | None = None, reset_attempts: bool = True
    ) -> Row:
        """Begin an operation on all jobs that a search finds; it may be through already."""
        ...

    async def search(self, query: str, most: int) -> Row:
        """Begin to look through all jobs that are there, as an operation. Raises: QueryError."""
        ...

    async def found(self, operation_id: str, *, limit: int, cursor: str | None = None) -> Stretch:
        """What such a search has found so far, as those jobs are now.

        Raises:
            RecordNotFoundError: no such operation, or one that is no search.
        """
        ...

    async def operations(self) -> list[Row]: ...

    async def operation(self, operation_id: str) -> Row: ...

    async def abort(self, operation_id: str) -> Row: ...

    async def doctor(self, only: Sequence[str]) -> list[Row]:
        """The findings of the checks."""
        ...

    async def mend(self, only: Sequence[str]) -> list[Row]:
        """Put right what can be put right safely; what was done."""
        ...

    def export(self, query: str) -> AsyncIterator[Row]:
        """All jobs that a search finds, to be written out: who did so stands in the audit log."""
        ...

    async def findings(self, queue: str | None, *, muted: bool) -> list[Row]:
        """What wants attention, the worst first; with `muted` also what is muted, and until when."""
        ...

    async def audit(self, filters: Row, limit: int) -> list[Row]: ...

    async def marks(self) -> list[Row]: ...

    async def mark(self, label: str, at: float | None, url: str, color: str) -> Row: ...

    async def unmark(self, mark_id: str) -> None: ...

    async def tokens(self) -> list[Row]: ...

    async def create_token(self, name: str, role: str, queues: Sequence[str], expires_at: float | None) -> Row: ...

    async def revoke_token(self, token_id: str) -> None: ...


class Backend(Reading, Acting, Running, Protocol):
    """Everything. Opened once with `async with`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def through(action: str, done: int, *, failed: int = 0) -> dict[str, object]:
    """What was done at once, as an operation that is through."""
    return {
        "id": None, "action": action, "state": "done", "query": None, "total": done + failed, "done": done,
        "failed": failed, "skipped": 0, "examined": 0, "candidates": None, "capped": False, "errors": [], "by": None,
        "reason": None, "created_at": None, "finished_at": None, "eta_s": None, "problem": "",
    }  # fmt: skip
