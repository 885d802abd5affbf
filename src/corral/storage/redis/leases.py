"""heartbeat and recover: who is alive, and what becomes of the jobs of those who are not."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from corral.job import JobId
from corral.storage.port import Lease, Pulse, Recovered, WorkerInfo
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.options import to_json
from corral.storage.redis.scripts import script
from corral.timing import Millis

LOST = "the worker running it was lost"


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
