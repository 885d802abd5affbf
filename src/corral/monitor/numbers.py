"""How fast a queue works: rates and percentiles from what workers record, or else from the newest finished jobs."""

from collections.abc import Iterable, Mapping, Sequence

from corral.histogram import bucket_of, merged, middle_of, percentile
from corral.job import Job, JobState
from corral.monitor.objects import Rates, Spread
from corral.monitor.preview import ran, waited
from corral.storage.insight import Sample
from corral.storage.port import Bucket
from corral.timing import Millis

#: Finished jobs from which the pace of a queue is worked out whose workers record nothing.
SAMPLE = 100


def spread(histogram: Mapping[int, int]) -> Spread:
    """The spread of a histogram of `corral.histogram`."""
    count = sum(histogram.values())
    if not count:
        return Spread()
    mean = sum(middle_of(bucket) * number for bucket, number in histogram.items()) / count
    p50, p95, p99 = (percentile(histogram, part) for part in (0.50, 0.95, 0.99))
    return Spread(count, round(mean, 1), p50, p95, p99)


def spread_of(lengths: Iterable[Millis | None]) -> Spread:
    """The spread of lengths of time."""
    histogram: dict[int, int] = {}
    for length in lengths:
        if length is not None:
            bucket = bucket_of(length)
            histogram[bucket] = histogram.get(bucket, 0) + 1
    return spread(histogram)


def means(buckets: Sequence[Bucket]) -> tuple[Spread, Spread]:
    """Mean waiting and running time, without percentiles."""
    count = sum(one.completed + one.failed + one.retried for one in buckets)
    if not count:
        return Spread(), Spread()
    wait, run = sum(one.wait_ms for one in buckets), sum(one.run_ms for one in buckets)
    return Spread(count, round(wait / count, 1)), Spread(count, round(run / count, 1))


def rates(buckets: Sequence[Bucket], window_ms: Millis) -> Rates:
    """What the store counted."""
    completed = sum(one.completed for one in buckets)
    failed = sum(one.failed for one in buckets)
    retried = sum(one.retried for one in buckets)
    return made_rates(completed, failed, retried, window_ms, "metrics")


def made_rates(
    completed: int, failed: int, retried: int, window_ms: Millis, source: str, *, over_ms: Millis = 0,
    exact: bool = True,
) -> Rates:  # fmt: skip
    """Rates of so many jobs in the last `over_ms` (without it, in the whole window)."""
    ended = completed + failed
    if not ended + retried:
        return Rates(window_ms=window_ms)
    return Rates(
        window_ms=window_ms, completed=completed, failed=failed, retried=retried,
        per_second=round(ended * 1000 / (over_ms or window_ms), 4), failure_share=failed / ended if ended else None,
        source=source, exact=exact,
    )  # fmt: skip


def sampled(jobs: Sequence[Job], now: Millis, window_ms: Millis) -> tuple[Rates, Spread, Spread]:
    """Rates and times of the newest finished jobs, newest first: as far as they reach back, at most the window."""
    lately = [job for job in jobs if job.finished_at is not None and job.finished_at >= now - window_ms]
    cut = len(jobs) >= SAMPLE and len(lately) == len(jobs)
    oldest = min((job.finished_at for job in lately if job.finished_at is not None), default=now)
    failed = sum(job.state is JobState.FAILED for job in lately)
    made = made_rates(
        len(lately) - failed, failed, 0, window_ms, "sample", over_ms=max(1, now - oldest) if cut else 0, exact=not cut
    )
    return made, spread_of(waited(job, now) for job in lately), spread_of(ran(job, now) for job in lately)


def together(all_rates: Iterable[Rates], window_ms: Millis) -> Rates:
    """The rates of several queues as one."""
    known = [one for one in all_rates if one.source != "none"]
    completed, failed = sum(one.completed for one in known), sum(one.failed for one in known)
    ended = completed + failed
    sources = {one.source for one in known}
    return Rates(
        window_ms=window_ms, completed=completed, failed=failed, retried=sum(one.retried for one in known),
        per_second=round(sum(one.per_second for one in known), 4), failure_share=failed / ended if ended else None,
        source=sources.pop() if len(sources) == 1 else "mixed" if sources else "none",
        exact=all(one.exact for one in known),
    )  # fmt: skip


def histograms(samples: Iterable[Sample]) -> tuple[dict[int, int], dict[int, int]]:
    """Waiting and running times of samples, merged."""
    found = tuple(samples)
    return merged(one.wait for one in found), merged(one.run for one in found)
