"""Kinds of failures, figures over time, and who owns a deduplication id."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.job import JobId
from corral.storage.insight import TIERS, FailureGroup, Page, Sample, Tier
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from corral.timing import Millis

#: Samples written and kinds of failures read by one call: 3 ms.
SAMPLES = 100
KINDS = 200
_TIERS = tuple((tier.value, length, kept) for tier, (length, kept) in TIERS.items())
_Sums = tuple[int, int, int, list[int], list[int]]


class _Failures(Call, kw_only=True):
    start: int
    limit: int


class _Kind(Struct):
    type: str
    message: str
    attempts: int
    jobs: int
    first: float
    last: float
    id: JobId
    name: str


class _FailuresReply(Struct):
    found: list[tuple[str, _Kind]]
    total: int


class _Record(Call, kw_only=True):
    tiers: Sequence[tuple[str, Millis, Millis]]
    samples: list[tuple[Millis, str, int, int, int, list[int], list[int]]]


class _Series(Call, kw_only=True):
    tier: str
    since: Millis
    till: Millis


class _SeriesReply(Struct, rename={"start": "from"}):
    found: list[tuple[float, str, _Sums]]
    start: float | None = None


class _Deduplication(Call, kw_only=True):
    id: str
    remove: bool


_decode_failures = msgspec.msgpack.Decoder(_FailuresReply).decode
_decode_series = msgspec.msgpack.Decoder(_SeriesReply).decode
_decode_owner: Callable[[bytes], JobId | None] = msgspec.msgpack.Decoder(JobId | None).decode


class Insights:
    """What is told about a queue as a whole. See the port for what each verb promises."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def failures(self, queue: str, start: int, limit: int) -> Page[FailureGroup]:
        kinds: list[FailureGroup] = []
        total = 0
        while True:
            request = _Failures(
                prefix=self._prefix, queue=queue, start=start + len(kinds), limit=max(0, min(KINDS, limit - len(kinds)))
            )
            reply = _decode_failures(await self._server.run(script("failures"), queue, pack(request), changes=False))
            kinds += [_group(fingerprint, kind) for fingerprint, kind in reply.found]
            total = reply.total
            if not reply.found or len(kinds) >= limit:
                return Page(tuple(kinds), total)

    async def record(self, queue: str, samples: Sequence[Sample], now: Millis | None) -> None:
        for begin in range(0, len(samples), SAMPLES):
            rows = [
                (one.at, one.name, one.completed, one.failed, one.retried, _flat(one.wait), _flat(one.run))
                for one in samples[begin : begin + SAMPLES]
            ]
            request = _Record(prefix=self._prefix, queue=queue, now=now, tiers=_TIERS, samples=rows)
            await self._server.run(script("record"), queue, pack(request))

    async def series(self, queue: str, tier: Tier, since: Millis, until: Millis) -> list[Sample]:
        found: list[Sample] = []
        request = _Series(prefix=self._prefix, queue=queue, tier=tier.value, since=since, till=until)
        while True:
            reply = _decode_series(await self._server.run(script("series"), queue, pack(request), changes=False))
            found += [_sample(int(at), name, sums) for at, name, sums in reply.found]
            if reply.start is None:
                return sorted(found, key=lambda one: (one.at, one.name))
            request = replace(request, since=int(reply.start))

    async def deduplication(self, queue: str, dedup_id: str, remove: bool, now: Millis | None) -> JobId | None:
        request = _Deduplication(prefix=self._prefix, queue=queue, now=now, id=dedup_id, remove=remove)
        return _decode_owner(await self._server.run(script("deduplication"), queue, pack(request), changes=remove))


def _group(fingerprint: str, kind: _Kind) -> FailureGroup:
    return FailureGroup(
        fingerprint=fingerprint,
        type=kind.type,
        message=kind.message,
        attempts=kind.attempts,
        jobs=kind.jobs,
        first_at=int(kind.first),
        last_at=int(kind.last),
        last_job_id=kind.id,
        last_name=kind.name,
    )


def _flat(counts: Mapping[int, int]) -> list[int]:
    return [word for pair in counts.items() for word in pair]


def _counts(flat: Sequence[int]) -> dict[int, int]:
    return dict(sorted(zip(flat[::2], flat[1::2], strict=True)))


def _sample(at: Millis, name: str, sums: _Sums) -> Sample:
    completed, failed, retried, wait, run = sums
    return Sample(
        at=at, name=name, completed=completed, failed=failed, retried=retried, wait=_counts(wait), run=_counts(run)
    )
