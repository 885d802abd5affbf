"""Figures over time, for charts. Pure."""

from collections.abc import Sequence

import msgspec

from corral.histogram import merged
from corral.job import Job, JobState
from corral.monitor.numbers import spread, spread_of
from corral.monitor.objects import Mark, Point
from corral.monitor.preview import ran, waited
from corral.storage.insight import Sample
from corral.storage.records import Entry
from corral.timing import Millis

#: Points of one chart: two days of minutes.
MOST = 2_880

_decode_mark = msgspec.json.Decoder(Mark).decode


def points(samples: Sequence[Sample]) -> tuple[Point, ...]:
    """Samples by time, whatever their names and queues."""
    by_time: dict[Millis, list[Sample]] = {}
    for sample in samples:
        by_time.setdefault(sample.at, []).append(sample)
    return tuple(
        Point(
            at=at,
            completed=sum(one.completed for one in some),
            failed=sum(one.failed for one in some),
            retried=sum(one.retried for one in some),
            wait=spread(merged(one.wait for one in some)),
            run=spread(merged(one.run for one in some)),
        )
        for at, some in sorted(by_time.items())
    )


def points_of(jobs: Sequence[Job], step_ms: Millis, since: Millis, until: Millis) -> tuple[Point, ...]:
    """Finished jobs by time, for queues whose workers record nothing."""
    by_time: dict[Millis, list[Job]] = {}
    for job in jobs:
        if job.finished_at is not None and since <= job.finished_at < until:
            by_time.setdefault(job.finished_at - job.finished_at % step_ms, []).append(job)
    return tuple(
        Point(
            at=at,
            completed=sum(job.state is JobState.COMPLETED for job in some),
            failed=sum(job.state is JobState.FAILED for job in some),
            wait=spread_of(waited(job, until) for job in some),
            run=spread_of(ran(job, until) for job in some),
        )
        for at, some in sorted(by_time.items())
    )


def marks_of(entries: Sequence[Entry]) -> tuple[Mark, ...]:
    """Marks by time. One that cannot be read, as another version may have written it, is left out."""
    found = []
    for entry in entries:
        try:
            found.append(_decode_mark(entry.text))
        except msgspec.MsgspecError:
            continue
    return tuple(sorted(found, key=lambda mark: mark.at))


def trend(times: Sequence[Millis], since: Millis, until: Millis, parts: int = 12) -> tuple[int, ...]:
    """How many of these instants fall into each of so many equal stretches, oldest first."""
    length = max(1, until - since)
    counts = [0] * parts
    for at in times:
        if since <= at < until:
            counts[min(parts - 1, (at - since) * parts // length)] += 1
    return tuple(counts)
