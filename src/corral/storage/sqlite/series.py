"""Figures by minute, hour and day: samples are merged into the buckets of every tier."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from corral.storage.insight import TIERS, Sample, Tier
from corral.storage.sqlite.unit import QueueRow, Unit
from corral.timing import Millis

#: Names of a bucket; what comes with further ones is counted under OTHERS.
NAMES = 200
OTHERS = "*"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Sample).decode


def record(unit: Unit, name: str, samples: Sequence[Sample], now: Millis) -> None:
    """Add figures to every tier, and forget what has been kept long enough."""
    if not samples:
        return
    queue = unit.queue(name)
    for tier, (length, kept) in TIERS.items():
        oldest = now - kept
        for sample in samples:
            if sample.at - sample.at % length >= oldest:
                _merge(unit, queue, tier, replace(sample, at=sample.at - sample.at % length))
        old = (queue.pk, tier.value, oldest)
        unit.db.execute("DELETE FROM corral_figure WHERE queue = ? AND tier = ? AND at < ?", old)


def _merge(unit: Unit, queue: QueueRow, tier: Tier, sample: Sample) -> None:
    place = (queue.pk, tier.value, sample.at)
    find = "SELECT body FROM corral_figure WHERE queue = ? AND tier = ? AND at = ? AND name = ?"
    body = unit.one(find, (*place, sample.name))
    if body is None and sample.name != OTHERS:
        count = "SELECT count(*) FROM corral_figure WHERE queue = ? AND tier = ? AND at = ? AND name != ?"
        if (unit.number(count, (*place, OTHERS)) or 0) >= NAMES:
            sample = replace(sample, name=OTHERS)
            body = unit.one(find, (*place, OTHERS))
    if body is not None:
        sample = _sum(_decode(str(body)), sample)
    row = (*place, sample.name, _encode(sample).decode())
    unit.db.execute("INSERT OR REPLACE INTO corral_figure VALUES (?, ?, ?, ?, ?)", row)


def _sum(one: Sample, other: Sample) -> Sample:
    return replace(
        one,
        completed=one.completed + other.completed,
        failed=one.failed + other.failed,
        retried=one.retried + other.retried,
        wait=_counts(one.wait, other.wait),
        run=_counts(one.run, other.run),
    )


def _counts(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    return {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in sorted(one.keys() | other.keys())}


def series(unit: Unit, name: str, tier: Tier, since: Millis, until: Millis) -> list[Sample]:
    """A tier's figures by time and name."""
    queue = unit.look(name)
    if queue is None:
        return []
    sql = "SELECT body FROM corral_figure WHERE queue = ? AND tier = ? AND at >= ? AND at < ? ORDER BY at, name"
    return [_decode(str(row[0])) for row in unit.rows(sql, (queue.pk, tier.value, since, until))]
