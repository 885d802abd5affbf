"""The attempts of one job, put together from what a store keeps of them."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from corral.job import Job, JobState, PastAttempt
from corral.timing import Millis


class AttemptRow(Struct, frozen=True, kw_only=True):
    """One attempt.

    Node's workers leave a trace of those that failed, and nothing else: only the last one's times are known.
    """

    number: int  #: from 1; a crashed one's is given to the next, too
    outcome: str  #: failed | crashed | completed | running
    started_at: Millis | None = None
    ended_at: Millis | None = None
    worker: str | None = None
    reason: str | None = None  #: why it failed, as far as that is kept
    trace: str | None = None
    retry_delay_ms: Millis | None = None  #: after so long it was to be tried again; None: it was not, or nobody knows
    fingerprint: str | None = None


def attempts_of(job: Job) -> tuple[AttemptRow, ...]:
    """The attempts of a job, oldest first, as far as anything of them is kept."""
    running, completed = job.state is JobState.ACTIVE, job.state is JobState.COMPLETED
    failures = job.attempts_made - completed
    rows = _with_traces(_in_order(job.past, failures), job)
    if running or completed:
        rows.append(
            AttemptRow(
                number=job.attempts_made + running, outcome="running" if running else "completed",
                started_at=job.started_at, ended_at=job.finished_at, worker=job.worker,
            )
        )  # fmt: skip
    return tuple(rows)


def _in_order(past: Sequence[PastAttempt], failures: int) -> Iterator[PastAttempt | int]:
    """The recorded attempts, and the numbers of those between them that nobody recorded."""
    begin = len(past) - _series(past, failures)
    yield from past[:begin]
    number = 1
    for one in past[begin:]:
        yield from range(number, one.number)
        yield one
        number = one.number + (one.outcome != "crashed")
    yield from range(number, failures + 1)


def _series(past: Sequence[PastAttempt], failures: int) -> int:
    """How many of the latest belong to the numbers that count now: a job that is retried may count from 1 again."""
    length = 0
    for one in reversed(past):
        after = past[-length] if length else None
        most = failures + (one.outcome == "crashed") if after is None else after.number - (one.outcome != "crashed")
        if one.number > most:
            break
        length += 1
    return length


def _with_traces(found: Iterator[PastAttempt | int], job: Job) -> list[AttemptRow]:
    """Each with its trace: the last ten are kept. Without a record and a trace there is nothing to tell."""
    traces, newest = list(job.traces), True
    over = job.state is JobState.FAILED
    rows: list[AttemptRow] = []
    for one in reversed(tuple(found)):
        trace = traces.pop() if traces and (isinstance(one, int) or one.traced) else None
        if not isinstance(one, int):
            rows.append(_recorded(one, trace, job, newest=newest))
        elif trace is not None or newest:
            rows.append(
                AttemptRow(
                    number=one, outcome="failed", trace=trace, reason=job.failed_reason if newest else None,
                    started_at=job.started_at if over and newest else None,
                    ended_at=job.finished_at if over and newest else None,
                    worker=job.worker if over and newest else None, fingerprint=job.fingerprint if newest else None,
                )
            )  # fmt: skip
        newest = False
    return rows[::-1]


def _recorded(one: PastAttempt, trace: str | None, job: Job, *, newest: bool) -> AttemptRow:
    crashed = one.outcome == "crashed"
    whole = newest and not crashed and job.failed_reason is not None and job.failed_reason.startswith(one.reason)
    return AttemptRow(
        number=one.number, outcome="crashed" if crashed else "failed", started_at=one.started_at,
        ended_at=one.ended_at, worker=one.worker or None, reason=job.failed_reason if whole else one.reason,
        trace=trace, retry_delay_ms=one.retry_delay_ms,
        fingerprint=job.fingerprint if newest and not crashed else None,
    )  # fmt: skip
