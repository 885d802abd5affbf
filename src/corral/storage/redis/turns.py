"""claim and settle: a worker's turn."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.job import Job, JobId, NewJob
from corral.outcome import Completed, Crashed, Failed, Failure, Limited, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import BATCH, Claim, Claimed, Refusal, Settled, Settlement
from corral.storage.redis.adding import NewJobRequest, new_job
from corral.storage.redis.call import Call
from corral.storage.redis.codec import (
    ClaimedReply,
    SettledReply,
    claimed_job,
    millis,
    new_jobs,
    new_rows,
    pack,
    read_row,
)
from corral.storage.redis.connection import Server
from corral.storage.redis.options import UnreadableJobError
from corral.storage.redis.scripts import script
from corral.timing import Millis, now_ms


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
    group: bool = False
    failure: Failure | None = None
    adds: list[NewJobRequest] | None = None


#: Token, how many and how long completed jobs are kept, and by turns ids and results.
_Run = tuple[str, int | None, Millis | None, list[str]]


class _Settle(Call, omit_defaults=True, kw_only=True):
    verdicts: list[_Verdict] | None = None
    done: list[_Run] | None = None
    claim: _Wish | None = None


_decode_claimed = msgspec.msgpack.Decoder(ClaimedReply).decode
_decode_settled = msgspec.msgpack.Decoder(SettledReply).decode


def _verdict(one: Settlement, prefix: str) -> _Verdict:
    outcome = one.outcome
    if type(outcome) is Completed and not outcome.adds:  # nearly all: the two matches below take three times as long
        keep = outcome.keep
        return _Verdict(one.job_id, one.token, "c", outcome.result, None, None, keep.count, keep.age_ms)
    verdict = _told_verdict(one.job_id, one.token, outcome)
    match outcome:
        case Completed(adds=adds) if adds:
            return replace(verdict, adds=_requests(adds, prefix))
        case Failed(failure=failure, adds=adds) if failure is not None or adds:
            return replace(verdict, failure=failure, adds=_requests(adds, prefix))
        case Retried(failure=failure) if failure is not None:
            return replace(verdict, failure=failure)
    return verdict


def _completions(settlements: Sequence[Settlement]) -> list[_Run] | None:
    """Runs that have all completed, in few words; None when there are others among them.

    Half of what a verdict costs is to tell of it: 2 µs here and 1 at the server.
    """
    runs: list[_Run] = []
    token, keep, told = "", None, list[str]()
    for one in settlements:
        outcome = one.outcome
        if type(outcome) is not Completed or outcome.adds:
            return None
        if one.token != token or outcome.keep != keep or keep is None:
            token, keep, told = one.token, outcome.keep, []
            runs.append((token, keep.count, keep.age_ms, told))
        told += (one.job_id, outcome.result)
    return runs or None


def _requests(adds: Sequence[NewJob], prefix: str) -> list[NewJobRequest] | None:
    return [new_job(job, prefix) for job in adds] or None


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
        case Limited(after_ms, group, reason):
            return _Verdict(job_id, token, "t", reason, None, after_ms, group=group)
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
        name, done = "settle", _completions(settlements)
        verdicts = None
        if done is None and settlements:
            verdicts = [_verdict(one, self._prefix) for one in settlements]
            if any(one.adds or one.failure for one in verdicts):
                name = "settle_full"
        request = _Settle(prefix=self._prefix, queue=queue, now=now, verdicts=verdicts, done=done, claim=wish)
        reply = _decode_settled(await self._server.run(script(name), queue, pack(request)))
        refused = {job_id: Refusal(reason) for job_id, reason in reply.refused} if reply.refused else {}
        if then is None or reply.claimed is None:
            return Settled(refused=refused)
        return Settled(claimed=await self._claimed(queue, then, reply.claimed, now), refused=refused)

    def _read(self, queue: str, claim: Claim, reply: ClaimedReply, at: Millis) -> tuple[list[Job], list[_Verdict]]:
        """The jobs, and verdicts on those that cannot be read."""
        rows = [read_row(row) for row in reply.jobs]
        if reply.new:
            try:
                return new_jobs(queue, reply.new, claim.worker, at), []
            except UnreadableJobError:
                rows = new_rows(reply.new)
        jobs: list[Job] = []
        unreadable: list[_Verdict] = []
        for job_id, started, stored in rows:
            try:
                jobs.append(claimed_job(queue, self._prefix, job_id, started, stored, claim.worker, at))
            except (UnreadableJobError, KeyError) as error:
                reason = f"its stored form cannot be read: {error}"
                unreadable.append(_Verdict(job_id, claim.token, "f", reason))
        return jobs, unreadable

    async def _claimed(self, queue: str, claim: Claim, reply: ClaimedReply, now: Millis | None) -> Claimed:
        at = int(reply.now)
        jobs, unreadable = self._read(queue, claim, reply, at)
        if unreadable:  # one that another program wrote: it must not stop those behind it
            request = _Settle(prefix=self._prefix, queue=queue, now=now, verdicts=unreadable)
            await self._server.run(script("settle"), queue, pack(request))
        # The store's times in this machine's: a worker sleeps by its own clock, which may be wrong.
        shift = now_ms() - at if now is None else 0
        next_at, held_until = millis(reply.next_at, shift), millis(reply.held_until, shift)
        freed_at = millis(reply.freed_at, shift)
        if unreadable and not jobs and held_until is None:
            held_until = at + shift  # not idle: the next call goes on behind them
        return Claimed(jobs=tuple(jobs), next_at=next_at, freed_at=freed_at, held_until=held_until, paused=reply.paused)
