"""Jobs that a running handler adds: at once, together with its own completion, or as its children."""

import hashlib
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, Unpack, cast, overload

from msgspec import Struct, field
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.job import Job, JobId, NewJob, ParentRef, check_job_id, check_name
from corral.keywords import AddKeywords, new_job
from corral.options import ParentPolicy, policy_of
from corral.payload import to_json
from corral.storage.port import Added, Children
from corral.timing import to_seconds

D = TypeVar("D")
R = TypeVar("R")
T = TypeVar("T")
D_contra = TypeVar("D_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

#: A child's id names its parent, which may itself be a child: beyond so many characters it names a hash of it.
MAX_CHILD_ID = 120


class Addable(Protocol[D_contra, R_co]):
    """What `@queue.job` makes of a handler, as far as adding goes."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str: ...

    def new(self, data: D_contra | None = None, /, **options: Unpack[AddKeywords]) -> NewJob: ...

    def result_of(self, text: str) -> R_co: ...


class ChildrenOf(Struct, Generic[R_co], frozen=True):
    """How a job's children of one declaration stand."""

    pending: tuple[JobId, ...] = ()
    completed: Mapping[JobId, R_co] = field(default_factory=dict)  #: what each returned
    failed: Mapping[JobId, str] = field(default_factory=dict)  #: why each failed for good

    @property
    def results(self) -> list[R_co]:
        """What those that completed returned, in the order in which the children were added."""
        return [self.completed[one] for one in sorted(self.completed, key=_number)]


class Errands:
    """What one run has added so far."""

    __slots__ = ("children", "known", "later", "number")

    def __init__(self) -> None:
        self.later: list[NewJob] = []  #: for the completion
        self.number = 0  #: of the last child; the same call of a later attempt gets the same one
        self.known: frozenset[JobId] | None = None  #: children of earlier attempts
        self.children: dict[JobId, str] = {}  #: id -> name, of those that this run asked for


class Adds:
    """The verbs of an `async def` handler."""

    __slots__ = ()
    job: Job
    errands: Errands | None

    # What a context has to do for them; in a child process each is a question to the worker.

    def start_errands(self) -> Errands:
        """What this run has added so far, kept from now on."""
        raise AssertionError("every context has its own")

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]:
        """Add jobs that are checked already, through the application's intake."""
        raise AssertionError("every context has its own")

    async def collect(self, jobs: Sequence[NewJob]) -> None:
        """Keep jobs for the completion, once the application's intake has let them in."""
        raise AssertionError("every context has its own")

    async def names_of(self, queue: str, ids: Sequence[JobId]) -> Mapping[JobId, str]:
        """The names of those of these jobs that are still there."""
        raise AssertionError("every context has its own")

    async def children(self) -> Children:
        """How the job's children stand."""
        raise AssertionError("every context has its own")

    # The verbs.

    @overload
    async def add(self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    @overload
    async def add(self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    async def add(
        self, job: Addable[Any, Any] | str, data: object = None, further: object = None, /,
        **options: Unpack[AddKeywords],
    ) -> Added:  # fmt: skip
        """Add a job at once: `add(welcome, Welcome(…))`, or by names: `add("mail", "welcome", {…})`.

        It is there whatever becomes of this job, and once more when this job runs once more: give it an `id`, or use
        `add_on_complete`.

        Raises:
            PayloadError, ConfigError, QueueFullError: as for `add` outside of a handler.
        """
        wait = options.get("wait")
        patience = 0.0 if wait is None else to_seconds(wait, "wait")
        return (await self.add_jobs([_made(job, data, further, options)], patience))[0]

    @overload
    async def add_on_complete(
        self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]
    ) -> None: ...
    @overload
    async def add_on_complete(
        self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]
    ) -> None: ...
    async def add_on_complete(
        self, job: Addable[Any, Any] | str, data: object = None, further: object = None, /,
        **options: Unpack[AddKeywords],
    ) -> None:  # fmt: skip
        """Add a job in the same step that completes this one: both happen, or neither.

        Nothing is added when this run fails, is retried, or has lost its lease. An `add_limit` does not count them.
        """
        await self.collect([_made(job, data, further, options)])

    @overload
    async def add_child(
        self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]
    ) -> Added: ...
    @overload
    async def add_child(self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    async def add_child(
        self, job: Addable[Any, Any] | str, data: object = None, further: object = None, /,
        **options: Unpack[AddKeywords],
    ) -> Added:  # fmt: skip
        """Add a child of this job; `raise WaitForChildren()` then waits until all have ended, and runs this job again.

        The first call in each run always makes the same child, the second one the same second, and so on: a retry, and
        the run after the wait, find the children there and add none twice. A child that fails for good fails this job;
        `on_failure="ignore"` or another policy says otherwise.
        """
        return (await self._add_children([_made(job, data, further, self._as_child(options))]))[0]

    async def add_children(
        self, job: Addable[D, R], payloads: Iterable[D], /, **options: Unpack[AddKeywords]
    ) -> list[Added]:
        """A child per payload, as `add_child`, in one step."""
        child = self._as_child(options)
        return await self._add_children([job.new(data, **child) for data in payloads])

    async def children_of(self, job: Addable[D, R]) -> ChildrenOf[R]:
        """How the children of one declaration stand, results typed as the handler returns them.

        Children that other code added and that retention has removed are only in `children()`.
        """
        found = await self.children()
        ids = [*(one for _, one in found.pending), *found.completed, *found.failed]
        known = {} if self.errands is None else self.errands.children
        unknown = [one for one in ids if one not in known]
        names = {**(await self.names_of(job.queue, unknown) if unknown else {}), **known}
        mine = {one for one in ids if names.get(one) == f"{job.queue}/{job.name}"}
        return ChildrenOf(
            pending=tuple(one for _, one in found.pending if one in mine),
            completed={one: job.result_of(text) for one, text in found.completed.items() if one in mine},
            failed={one: reason for one, reason in found.failed.items() if one in mine},
        )

    def _as_child(self, options: AddKeywords) -> AddKeywords:
        if "parent" in options:
            raise ConfigError("add_child adds a child of this job: leave parent out, or use add", key="parent")
        policy = policy_of(options.get("on_failure", ParentPolicy.FAIL))
        return cast(AddKeywords, {**options, "parent": ParentRef(self.job.queue, self.job.id, policy)})

    async def _add_children(self, jobs: Sequence[NewJob]) -> list[Added]:
        errands = self.start_errands()
        made = []
        for job in jobs:  # numbered before anything is awaited: the order of the calls is what counts
            errands.number += 1
            made.append(_with_id(job, child_id(self.job, job.queue, errands.number)))
            errands.children[cast(JobId, made[-1].id)] = f"{job.queue}/{job.name}"
        if errands.known is None:
            errands.known = await self._earlier()
        # A child that has completed may have been removed since: adding it again would run it again.
        fresh = [job for job in made if job.id not in errands.known]
        answers = {answer.id: answer for answer in (await self.add_jobs(fresh) if fresh else [])}
        return [answers.get(cast(JobId, job.id)) or Added(cast(JobId, job.id), fresh=False) for job in made]

    async def _earlier(self) -> frozenset[JobId]:
        if self.job.attempts_started <= 1:
            return frozenset()
        found = await self.children()
        return frozenset([*(one for _, one in found.pending), *found.completed, *found.failed])


class BlockingAdds:
    """The same verbs for `def` handlers: each blocks until it is done."""

    __slots__ = ()
    _context: Adds

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        raise AssertionError("every context has its own")

    @overload
    def add(self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    @overload
    def add(self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    def add(
        self, job: Addable[Any, Any] | str, data: Any = None, further: object = None, /, **options: Unpack[AddKeywords]
    ) -> Added:
        """As `JobContext.add`."""
        return self._run(self._context.add(cast(str, job), data, further, **options))

    @overload
    def add_on_complete(self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]) -> None: ...
    @overload
    def add_on_complete(self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> None: ...
    def add_on_complete(
        self, job: Addable[Any, Any] | str, data: Any = None, further: object = None, /, **options: Unpack[AddKeywords]
    ) -> None:
        """As `JobContext.add_on_complete`."""
        self._run(self._context.add_on_complete(cast(str, job), data, further, **options))

    @overload
    def add_child(self, job: Addable[D, R], data: D | None = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    @overload
    def add_child(self, job: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> Added: ...
    def add_child(
        self, job: Addable[Any, Any] | str, data: Any = None, further: object = None, /, **options: Unpack[AddKeywords]
    ) -> Added:
        """As `JobContext.add_child`."""
        return self._run(self._context.add_child(cast(str, job), data, further, **options))

    def add_children(self, job: Addable[D, R], payloads: Iterable[D], /, **options: Unpack[AddKeywords]) -> list[Added]:
        """As `JobContext.add_children`."""
        return self._run(self._context.add_children(job, payloads, **options))

    def children_of(self, job: Addable[D, R]) -> ChildrenOf[R]:
        """As `JobContext.children_of`."""
        return self._run(self._context.children_of(job))


def child_id(parent: Job, queue: str, number: int) -> JobId:
    """The id of a job's n-th child: `7.1`, `7.2` and so on.

    Numbers are given out once; an id that a caller chose may come again after retention, and then the time tells the
    two apart. A child in another queue may meet children of that queue's own jobs, so the parent's queue is named too.
    """
    name = parent.id if parent.id.isdigit() else f"{parent.id}.{parent.created_at:x}"
    if queue != parent.queue:
        name = f"{parent.queue}.{name}"
    if len(name) > MAX_CHILD_ID or any(char in name for char in " {}"):  # which names may have, and ids not
        name = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    return f"{name}.{number}"


def _number(job_id: JobId) -> tuple[int, str]:
    number = job_id.rpartition(".")[2]
    return (int(number) if number.isdigit() else 0), job_id


def _with_id(job: NewJob, job_id: JobId) -> NewJob:
    return job if job.id is not None else replace(job, id=check_job_id(job_id))


def _made(job: Addable[Any, Any] | str, data: object, further: object, options: AddKeywords) -> NewJob:
    if not isinstance(job, str):
        return job.new(data, **options)
    queue, name = check_name(job, "queue name"), check_name(data, "job name")
    return new_job(queue, name, to_json({} if further is None else further, "payload"), options)
