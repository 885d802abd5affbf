"""add: new jobs, those of several callers in one call."""

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from corral.errors import CorralError, JobNotFoundError, QueueFullError, StorageUnavailableError
from corral.job import NO_OPTIONS, After, JobId, NewJob, ParentRef
from corral.options import Dedup
from corral.storage.port import Added
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.options import options_text, parent_text
from corral.storage.redis.scripts import script
from corral.storage.redis.settings import Limit
from corral.timing import Millis


class _Parent(Struct):
    queue: str
    id: JobId
    json: str


class _Dedup(Struct, omit_defaults=True):
    id: str
    ttl: Millis | None = None
    extend: bool = False
    replace: bool = False
    keep: bool = False
    reschedule: bool = False


class NewJobRequest(Struct, omit_defaults=True):
    """A job as the scripts read it."""

    queue: str
    name: str
    data: str
    opts: str
    id: JobId | None = None
    delay: Millis = 0
    at: Millis | None = None
    priority: int = 0
    lifo: bool = False
    parent: _Parent | None = None
    children: int = 0
    lifespan: Millis | None = None
    schedule: str | None = None
    slot: Millis | None = None
    after: tuple[After, ...] = ()
    dedup: _Dedup | None = None
    group: str | None = None
    rates: tuple[Limit, ...] = ()
    more: bool = False  #: `add.lua` knows too little for it


class _Add(Call, omit_defaults=True, kw_only=True):
    register: tuple[str, ...] = ()
    groups: list[list[NewJobRequest]] | None = None
    plain: list[str | list[str]] | None = None  #: name, opts, payloads, and again
    sizes: list[int] | None = None


class _Full(Struct):
    queue: str
    count: int
    per_ms: float
    retry_ms: float


class _FullGroup(Struct):
    queue: str
    group: str
    size: int


class _Missing(Struct):
    queue: str
    id: JobId


class _Refused(Struct):
    full: _Full | None = None
    missing: _Missing | None = None
    full_group: _FullGroup | None = None


#: Id, whether it is new, and True behind that when deduplication found it.
AddedRow = list[JobId | bool]
_decode_added = msgspec.msgpack.Decoder(int | list[int | list[AddedRow] | _Refused]).decode


def new_job(job: NewJob, prefix: str) -> NewJobRequest:
    """A job as `add.lua` and `fire_schedule.lua` read it."""
    opts = options_text(job.options, job.priority, job.lifo, job.delay_ms, job.parent, prefix, job.dedup, job.group)
    if not (
        job.parent or job.after or job.dedup or job.group is not None or job.children or job.schedule
        or job.run_at is not None
    ):  # fmt: skip
        return NewJobRequest(
            job.queue, job.name, job.data, opts, job.id, job.delay_ms, None, job.priority, job.lifo, None, 0,
            job.options.lifespan_ms,
        )  # fmt: skip
    more = bool(job.after or job.dedup or job.group is not None or (job.parent and job.id))
    return NewJobRequest(
        job.queue, job.name, job.data, opts, job.id, job.delay_ms, job.run_at, job.priority, job.lifo,
        None if job.parent is None else _parent(job.parent, prefix), job.children, job.options.lifespan_ms,
        job.schedule, job.scheduled_for, job.after, None if job.dedup is None else _dedup(job.dedup), job.group,
        tuple(Limit(rate.count, rate.per_ms) for rate in job.group_rates), more,
    )  # fmt: skip


def _parent(parent: ParentRef, prefix: str) -> _Parent:
    return _Parent(parent.queue, parent.id, parent_text(parent, prefix))


def _dedup(dedup: Dedup) -> _Dedup:
    return _Dedup(dedup.id, dedup.ttl_ms, dedup.extend, dedup.replace, dedup.keep_last, dedup.reschedule)


def added(row: AddedRow) -> Added:
    """What became of a new job."""
    return Added(str(row[0]), bool(row[1]), len(row) > 2)


def are_plain(jobs: Sequence[NewJob]) -> bool:
    """Whether these jobs differ in nothing but their payloads and have nothing special.

    Their names travel once, and the script has little to ask: a bulk is a third faster for it.
    """
    first = jobs[0]
    queue, name, options = first.queue, first.name, first.options
    if options.lifespan_ms is not None:
        return False
    for job in jobs:
        if (
            job.id is not None or job.delay_ms or job.run_at is not None or job.priority or job.lifo
            or job.parent is not None or job.children or job.after or job.group is not None or job.dedup is not None
            or job.schedule is not None or job.name != name or job.queue != queue
            or (job.options is not options and job.options != options)
        ):  # fmt: skip
            return False
    return True


class Adder:
    """Adds travel together: those that come while a call is under way share the next one."""

    #: The most jobs of several callers in one call; one caller's own batch is never cut.
    SHARED = 500

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._known: set[str] = set()  #: queues that were entered in the list of all
        self._inbox: list[_Letter] = []
        self._busy = False
        self._latest = (NO_OPTIONS, options_text(NO_OPTIONS))  #: jobs of one handler share theirs
        self._task: asyncio.Task[None] | None = None

    async def add(self, jobs: Sequence[NewJob], now: Millis | None) -> list[Added]:
        if not jobs:
            return []
        letter = _Letter(jobs, self._opts(jobs), self._prefix)
        if now is not None:
            await self._send([letter], now)
        elif self._busy:
            letter.read = asyncio.get_running_loop().create_future()
            self._inbox.append(letter)
            await letter.read
        else:
            self._busy = True
            try:
                await self._send([letter], None)
            finally:
                self._busy = False
                self._go_on()
        return letter.opened()

    def _opts(self, jobs: Sequence[NewJob]) -> str | None:
        """What plain jobs have as `opts`; None of others."""
        if not are_plain(jobs):
            return None
        options, text = self._latest
        if jobs[0].options is not options:
            options = jobs[0].options
            text = options_text(options)
            self._latest = (options, text)
        return text

    def _go_on(self) -> None:
        if self._inbox:
            self._busy = True
            self._task = asyncio.create_task(self._serve())  # kept: the loop itself has only weak references

    async def _serve(self) -> None:
        try:
            while self._inbox:
                await self._send_some()
        finally:
            self._busy = False
            self._go_on()

    async def _send_some(self) -> None:
        size = count = 0
        for letter in self._inbox:
            if count and size + len(letter.jobs) > self.SHARED:
                break
            size += len(letter.jobs)
            count += 1
        batch, self._inbox = self._inbox[:count], self._inbox[count:]
        try:
            await self._send(batch, None)
        except CorralError as error:
            for letter in batch:
                letter.error = error
        finally:
            for letter in batch:
                if letter.read is not None and not letter.read.done():
                    letter.read.set_result(None)

    async def _send(self, letters: Sequence["_Letter"], now: Millis | None) -> None:
        queue = letters[0].queue
        plain = all(letter.opts is not None and letter.queue == queue for letter in letters)
        if plain:
            fresh = () if queue in self._known else (queue,)
            request, name = self._plain(letters, queue, fresh, now), "add"
        else:
            request, name = self._spelled_out(letters, queue, now)
        answers = _decode_added(await self._server.run(script(name), queue, pack(request)))
        self._known.update(request.register)
        if isinstance(answers, int):
            for letter in letters:
                letter.answer = answers
                answers += len(letter.jobs)
            return
        for letter, answer in zip(letters, answers, strict=True):
            letter.answer = answer

    def _plain(self, letters: Sequence["_Letter"], queue: str, fresh: tuple[str, ...], now: Millis | None) -> _Add:
        runs: list[str | list[str]] = []
        payloads: list[str] = []
        last_name = last_opts = ""
        for letter in letters:
            name, opts = letter.jobs[0].name, letter.opts or ""
            if name != last_name or opts != last_opts:
                payloads = []
                runs += (name, opts, payloads)
                last_name, last_opts = name, opts
            payloads += [job.data for job in letter.jobs]
        sizes = None if len(letters) == 1 else [len(letter.jobs) for letter in letters]
        return _Add(prefix=self._prefix, queue=queue, now=now, register=fresh, plain=runs, sizes=sizes)

    def _spelled_out(self, letters: Sequence["_Letter"], queue: str, now: Millis | None) -> tuple[_Add, str]:
        groups = [letter.requests(self._prefix) for letter in letters]
        fresh, special = set[str](), False
        for group in groups:
            for job in group:
                if job.queue not in self._known:
                    fresh.add(job.queue)
                if job.more:
                    special = True
        request = _Add(prefix=self._prefix, queue=queue, now=now, register=tuple(fresh), groups=groups)
        return request, "add_full" if special else "add"


class _Letter:
    """One caller's jobs on their way. What cannot be written is found out here, before others' jobs are with it."""

    __slots__ = ("answer", "error", "jobs", "opts", "queue", "read", "spelled_out")

    def __init__(self, jobs: Sequence[NewJob], opts: str | None, prefix: str) -> None:
        self.jobs = tuple(jobs)
        self.queue = jobs[0].queue
        self.opts = opts  #: of plain jobs
        self.spelled_out = None if opts is not None else [new_job(job, prefix) for job in jobs]
        self.answer: int | list[AddedRow] | _Refused | None = None
        self.error: CorralError | None = None
        self.read: asyncio.Future[None] | None = None

    def requests(self, prefix: str) -> list[NewJobRequest]:
        """Its jobs as the scripts read them one by one."""
        return self.spelled_out or [new_job(job, prefix) for job in self.jobs]

    def opened(self) -> list[Added]:
        """What became of them. Raises: QueueFullError, JobNotFoundError, or what kept the call from being made."""
        if self.error is not None:
            raise self.error
        if isinstance(self.answer, _Refused):
            raise _refusal(self.answer)
        if self.answer is None:
            raise StorageUnavailableError("the store was closed before these jobs were added")
        if isinstance(self.answer, int):
            return [Added(str(number), True) for number in range(self.answer, self.answer + len(self.jobs))]
        return [added(row) for row in self.answer]


def _refusal(refused: _Refused) -> CorralError:
    if refused.missing is not None:
        return JobNotFoundError(refused.missing.queue, refused.missing.id)
    if refused.full_group is not None:
        group = refused.full_group
        return QueueFullError(group.queue, group.size, 0.0, 1.0, group=group.group)
    full = refused.full
    assert full is not None
    return QueueFullError(full.queue, full.count, full.per_ms / 1000, max(0.001, full.retry_ms / 1000))
