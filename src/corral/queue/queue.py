"""`Queue` with all its verbs, and the handle that `add` answers with."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, Unpack

from corral.effects import EffectVerbs
from corral.failures import FailureVerbs
from corral.figures import FigureVerbs
from corral.intake import OPEN, Intake
from corral.job import Job, JobId, NewJob, check_name
from corral.keywords import AddKeywords, new_job
from corral.payload import to_json
from corral.queue.adding import add_all
from corral.queue.explain import ExplainVerbs
from corral.queue.groups import GroupVerbs
from corral.queue.insight import InsightVerbs
from corral.queue.jobs import JobVerbs, ManyVerbs
from corral.queue.leased import ClaimVerbs
from corral.queue.limits import LimitVerbs
from corral.storage.insight import Page, Place
from corral.storage.port import Children, Storage
from corral.timing import Seconds, to_seconds
from corral.why import Why

R = TypeVar("R")


class JobHandle(Generic[R]):
    """What `add` returns: the job's id, and the way back to it."""

    __slots__ = ("deduplicated", "fresh", "id", "queue")

    def __init__(self, queue: "Queue", id: JobId, fresh: bool = True, deduplicated: bool = False) -> None:
        self.queue = queue
        self.id = id  #: when it is not fresh: of the job that was there
        self.fresh = fresh  #: False: a job was there already, and nothing was added
        self.deduplicated = deduplicated  #: that job has the same deduplication id; otherwise it has the same id

    def __repr__(self) -> str:
        return f"JobHandle({self.queue.name!r}, {self.id!r})"

    async def get(self) -> Job:
        """The job as it stands now. Raises: JobNotFoundError."""
        return await self.queue.get(self.id)

    async def result(self, timeout: Seconds | None = None) -> R:
        """Wait for the job's end, in whatever process it runs, and give what the handler returned (as plain JSON).

        Raises:
            JobFailedError: it failed for good. JobNotFoundError: it is gone. JobTimeoutError: not within `timeout`.
        """
        value: R = await self.queue.result(self.id, timeout=timeout)  # type: ignore[assignment]  # JSON of the declared type
        return value

    async def cancel(self, reason: str = "") -> bool:
        """Stop it: a pending job fails as cancelled, a running one is told to stop. False when it had ended."""
        return bool(await self.queue.cancel(self.id, reason=reason))

    async def retry(self) -> bool:
        """Run it again after it has ended. False when it has not."""
        return bool(await self.queue.retry(self.id))

    async def promote(self) -> bool:
        """Let it run now instead of later. False when it is not delayed."""
        return bool(await self.queue.promote(self.id))

    async def remove(self) -> bool:
        """Delete it. False while it runs."""
        return bool(await self.queue.remove(self.id))

    async def logs(self, *, start: int = 0, limit: int = 100) -> Page[str]:
        """Its log lines, oldest first."""
        return await self.queue.logs(self.id, start=start, limit=limit)

    async def children(self) -> Children:
        """How its children, and the jobs it comes after, stand."""
        return await self.queue.children(self.id)

    async def place(self) -> Place | None:
        """How many jobs stand before it; None when it is neither waiting nor delayed."""
        return await self.queue.place(self.id)

    async def why(self) -> Why:
        """Why it is not running, and when it may be. Raises: JobNotFoundError."""
        return await self.queue.why(self.id)


class Queue(
    JobVerbs,
    ManyVerbs,
    ClaimVerbs,
    LimitVerbs,
    GroupVerbs,
    InsightVerbs,
    ExplainVerbs,
    FailureVerbs,
    EffectVerbs,
    FigureVerbs,
):
    """A named queue in a store.

    Args:
        intake: what every job passes before it is added: the enqueue middleware and guards of an application.
        patience: seconds that an add waits for room in a full queue, unless its `wait` says otherwise.
    """

    def __init__(self, name: str, storage: Storage, *, intake: Intake = OPEN, patience: float = 0.0) -> None:
        super().__init__(name, storage)
        self.intake = intake
        self._patience = patience

    async def add(self, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> JobHandle[object]:
        """Add one job. When this returns, the job is stored durably.

        Raises:
            ConfigError: a bad option. PayloadError: data that is not JSON. QueueFullError: no room (within `wait`).
            JobNotFoundError: a job that `after` names is not there. Nothing is written then.
        """
        return (await self.add_jobs([self.new(name, data, **options)], wait=options.get("wait")))[0]

    def new(self, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> NewJob:
        """The job as it would be added: checked, nothing written. For `add_jobs`, flows and jobs added at an end."""
        text = to_json({} if data is None else data, "payload")
        return new_job(self.name, check_name(name, "job name"), text, options)

    async def add_bulk(
        self, jobs: Iterable[tuple[str, object] | tuple[str, object, AddKeywords]], *, wait: Seconds | None = None
    ) -> list[JobHandle[object]]:
        """Add many jobs as `(name, data)` or `(name, data, options)`: all of them or, on any error, none."""
        made: list[NewJob] = []
        for entry in jobs:
            name, data, options = entry if len(entry) == 3 else (*entry, AddKeywords())
            made.append(self.new(name, data, **options))
        return await self.add_jobs(made, wait=wait)

    async def add_jobs(self, jobs: Sequence[NewJob], *, wait: Seconds | None = None) -> list[JobHandle[object]]:
        """Add jobs that are checked already, of whatever queues: what `add` and `add_bulk` end in."""
        patience = self._patience if wait is None else to_seconds(wait, "wait")
        added = await add_all(self.storage, jobs, self.intake, patience=patience)
        homes = {self.name: self}
        for job in jobs:
            if job.queue not in homes:
                homes[job.queue] = Queue(job.queue, self.storage, intake=self.intake, patience=self._patience)
        return [
            JobHandle(homes[job.queue], answer.id, answer.fresh, answer.deduplicated)
            for job, answer in zip(jobs, added, strict=True)
        ]

    def handle(self, job_id: JobId) -> JobHandle[object]:
        """The way to a job whose id is known; it is not looked for."""
        return JobHandle(self, job_id, fresh=False)
