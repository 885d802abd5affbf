"""The hot path: add, claim, settle, heartbeat, recover, wait."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from corral.errors import CorralError, QueueFullError, StorageUnavailableError
from corral.job import Job, JobId, NewJob, ParentRef
from corral.outcome import Completed, Crashed, Failed, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import (
    BATCH,
    Added,
    Claim,
    Claimed,
    Lease,
    Pulse,
    Recovered,
    Refusal,
    Settled,
    Settlement,
    WorkerInfo,
)
from corral.storage.redis.codec import (
    ClaimedReply,
    SettledReply,
    UnreadableJobError,
    claimed_job,
    millis,
    options_text,
    pack,
    parent_text,
    read_row,
    to_json,
)
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from corral.timing import Millis, now_ms

LOST = "the worker running it was lost"


class Call(Struct, omit_defaults=True, kw_only=True):
    """What every request to a script has."""

    prefix: str
    queue: str = ""
    now: Millis | None = None


# -- add ---------------------------------------------------------------------------------------------------------------


class _Parent(Struct):
    queue: str
    id: JobId
    json: str


class _NewJob(Struct, omit_defaults=True):
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


class _Add(Call, omit_defaults=True, kw_only=True):
    register: Sequence[str]
    groups: list[list[_NewJob]]


class _Full(Struct):
    queue: str
    count: int
    per_ms: float
    retry_ms: float


class _Refused(Struct):
    full: _Full


_decode_added = msgspec.msgpack.Decoder(list[int | list[tuple[JobId, bool]] | _Refused]).decode


def new_job(job: NewJob, prefix: str) -> _NewJob:
    """A job as `add.lua` and `fire_schedule.lua` read it."""
    opts = options_text(job.options, job.priority, job.lifo, job.delay_ms, job.parent, prefix)
    if not (job.parent or job.children or job.schedule or job.run_at is not None):
        return _NewJob(
            job.queue, job.name, job.data, opts, job.id, job.delay_ms, None, job.priority, job.lifo, None, 0,
            job.options.lifespan_ms,
        )  # fmt: skip
    return _NewJob(
        job.queue, job.name, job.data, opts, job.id, job.delay_ms, job.run_at, job.priority, job.lifo,
        None if job.parent is None else _parent(job.parent, prefix), job.children, job.options.lifespan_ms,
        job.schedule, job.scheduled_for,
    )  # fmt: skip


def _parent(parent: ParentRef, prefix: str) -> _Parent:
    return _Parent(parent.queue, parent.id, parent_text(parent, prefix))


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
        self._task: asyncio.Task[None] | None = None

    async def add(self, jobs: Sequence[NewJob], now: Millis | None) -> list[Added]:
        if not jobs:
            return []
        letter = _Letter([new_job(job, self._prefix) for job in jobs])
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
        fresh = tuple({job.queue for letter in letters for job in letter.jobs} - self._known)
        queue = letters[0].jobs[0].queue
        groups = [letter.jobs for letter in letters]
        request = _Add(prefix=self._prefix, queue=queue, now=now, register=fresh, groups=groups)
        answers = _decode_added(await self._server.run(script("add"), queue, pack(request)))
        self._known.update(fresh)
        for letter, answer in zip(letters, answers, strict=True):
            letter.answer = answer


class _Letter:
    """One caller's jobs on their way."""

    __slots__ = ("answer", "error", "jobs", "read")

    def __init__(self, jobs: list[_NewJob]) -> None:
        self.jobs = jobs
        self.answer: int | list[tuple[JobId, bool]] | _Refused | None = None
        self.error: CorralError | None = None
        self.read: asyncio.Future[None] | None = None

    def opened(self) -> list[Added]:
        """What became of them. Raises: QueueFullError, or what kept the call from being made."""
        if self.error is not None:
            raise self.error
        if isinstance(self.answer, _Refused):
            raise _full(self.answer.full)
        if self.answer is None:
            raise StorageUnavailableError("the store was closed before these jobs were added")
        if isinstance(self.answer, int):
            return [Added(str(number), True) for number in range(self.answer, self.answer + len(self.jobs))]
        return [Added(job_id, fresh) for job_id, fresh in self.answer]


def _full(full: _Full) -> QueueFullError:
    return QueueFullError(full.queue, full.count, full.per_ms / 1000, max(0.001, full.retry_ms / 1000))


# -- claim and settle --------------------------------------------------------------------------------------------------


class _Wish(Struct):
    count: int
    token: str
    lease: Millis
    worker: str


class _Claim(Call, omit_defaults=True, kw_only=True):
    count: int
    token: str
    lease: Millis
    worker: str = ""


class _Verdict(Struct, omit_defaults=True):
    id: JobId
    token: str
    kind: str
    a: str = ""
    b: str | None = None
    after: Millis | None = None
    count: int | None = None
    age_ms: Millis | None = None
    limit: int | None = None


class _Settle(Call, omit_defaults=True, kw_only=True):
    verdicts: list[_Verdict]
    claim: _Wish | None = None


_decode_claimed = msgspec.msgpack.Decoder(ClaimedReply).decode
_decode_settled = msgspec.msgpack.Decoder(SettledReply).decode


def _verdict(one: Settlement) -> _Verdict:
    return _told_verdict(one.job_id, one.token, one.outcome)


def _told_verdict(job_id: JobId, token: str, outcome: Outcome) -> _Verdict:
    match outcome:
        case Completed(result, keep):
            return _Verdict(job_id, token, "c", result, None, None, keep.count, keep.age_ms)
        case Failed(reason, trace, keep):
            return _Verdict(job_id, token, "f", reason, trace, None, keep.count, keep.age_ms)
        case Retried(after_ms, reason, trace):
            return _Verdict(job_id, token, "r", reason, trace, after_ms)
        case Snoozed(after_ms):
            return _Verdict(job_id, token, "s", after=after_ms)
        case Parked():
            return _Verdict(job_id, token, "p")
        case Released():
            return _Verdict(job_id, token, "l")
        case Crashed(reason, limit, keep):
            return _Verdict(job_id, token, "x", reason, None, None, keep.count, keep.age_ms, limit)


class Turns:
    """claim and settle."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def claim(self, queue: str, claim: Claim, now: Millis | None) -> Claimed:
        request = _Claim(
            prefix=self._prefix, queue=queue, now=now, count=min(claim.count, BATCH), token=claim.token,
            lease=claim.lease_ms, worker=claim.worker,
        )  # fmt: skip
        reply = _decode_claimed(await self._server.run(script("claim"), queue, pack(request)))
        return await self._claimed(queue, claim, reply, now)

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], then: Claim | None, now: Millis | None
    ) -> Settled:
        wish = None if then is None else _Wish(min(then.count, BATCH), then.token, then.lease_ms, then.worker)
        verdicts = [_verdict(one) for one in settlements]
        request = _Settle(prefix=self._prefix, queue=queue, now=now, verdicts=verdicts, claim=wish)
        reply = _decode_settled(await self._server.run(script("settle"), queue, pack(request)))
        refused = {job_id: Refusal(reason) for job_id, reason in reply.refused} if reply.refused else {}
        if then is None or reply.claimed is None:
            return Settled(refused=refused)
        return Settled(claimed=await self._claimed(queue, then, reply.claimed, now), refused=refused)

    async def _claimed(self, queue: str, claim: Claim, reply: ClaimedReply, now: Millis | None) -> Claimed:
        jobs: list[Job] = []
        unreadable: list[_Verdict] = []
        prefix, worker, at = self._prefix, claim.worker, int(reply.now)
        for row in reply.jobs:
            job_id, started, stored = read_row(row)
            try:
                jobs.append(claimed_job(queue, prefix, job_id, started, stored, worker, at))
            except (UnreadableJobError, KeyError) as error:
                reason = f"its stored form cannot be read: {error}"
                unreadable.append(_Verdict(job_id, claim.token, "f", reason))
        if unreadable:  # one that another program wrote: it must not stop those behind it
            request = _Settle(prefix=prefix, queue=queue, now=now, verdicts=unreadable)
            await self._server.run(script("settle"), queue, pack(request))
        # The store's times in this machine's: a worker sleeps by its own clock, which may be wrong.
        shift = now_ms() - at if now is None else 0
        next_at, held_until = millis(reply.next_at, shift), millis(reply.held_until, shift)
        if unreadable and not jobs and held_until is None:
            held_until = at + shift  # not idle: the next call goes on behind them
        return Claimed(jobs=tuple(jobs), next_at=next_at, held_until=held_until, paused=reply.paused)


# -- leases ------------------------------------------------------------------------------------------------------------


class _Heartbeat(Call, omit_defaults=True, kw_only=True):
    id: str
    seen: str
    lease: Millis
    leases: list[tuple[str, JobId, str]]
    goodbye: bool = False


class _Pulse(Struct):
    now: float
    lost: list[int]
    cancelled: list[tuple[int, str]]


class _Recover(Call, omit_defaults=True, kw_only=True):
    crashes: int
    limit: int
    reason: str
    expect: Millis | None = None


class _Recovered(Struct):
    now: float
    requeued: list[JobId]
    quarantined: list[JobId]
    more: bool
    jumped: bool = False


_decode_pulse = msgspec.msgpack.Decoder(_Pulse).decode
_decode_recovered = msgspec.msgpack.Decoder(_Recovered).decode


class Leases:
    """heartbeat and recover, and an eye on the server's clock: when it jumps ahead, no lease has really run out."""

    def __init__(self, server: Server, prefix: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._prefix = prefix
        self._monotonic = monotonic
        self._clock: tuple[Millis, float] | None = None  #: the server's time, and ours when it told it
        self.lease_ms: Millis = 15_000  #: of the latest claim here
        self._quiet_until = 0.0

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], lease_ms: Millis, now: Millis | None
    ) -> Pulse:
        request = _Heartbeat(
            prefix=self._prefix, now=now, id=worker.id, seen=_worker_text(worker), lease=lease_ms,
            leases=[(one.queue, one.job_id, one.token) for one in leases], goodbye=not worker.queues,
        )  # fmt: skip
        pulse = _decode_pulse(await self._server.run(script("heartbeat"), "", pack(request)))
        if now is None:
            self._watch(int(pulse.now))
        return Pulse(
            lost=tuple(leases[n - 1] for n in pulse.lost),
            cancelled=tuple((leases[n - 1], reason) for n, reason in pulse.cancelled),
        )

    async def recover(self, queue: str, max_crashes: int, limit: int, now: Millis | None) -> Recovered:
        expect = None
        if now is None:
            at = self._monotonic()
            if at < self._quiet_until:
                return Recovered()
            if self._clock is not None:
                expect = self._clock[0] + int((at - self._clock[1]) * 1000)
        request = _Recover(
            prefix=self._prefix, queue=queue, now=now, crashes=max_crashes, limit=limit, reason=LOST, expect=expect
        )
        done = _decode_recovered(await self._server.run(script("recover"), queue, pack(request)))
        if now is None:
            self._watch(int(done.now))
        if done.jumped:
            self._quiet_until = self._monotonic() + self.lease_ms / 1000
        return Recovered(requeued=tuple(done.requeued), quarantined=tuple(done.quarantined), more=done.more)

    def _watch(self, store_now: Millis) -> None:
        self._clock = (store_now, self._monotonic())


@lru_cache(maxsize=64)
def _worker_text(worker: WorkerInfo) -> str:
    return to_json(msgspec.structs.replace(worker, seen_at=0)).decode()
