"""The attempts of a job, from what the store keeps of them."""

from corral.job import Job, JobState, PastAttempt
from corral.monitor.attempts import attempts_of


def job(state: JobState = JobState.WAITING, **fields: object) -> Job:
    return Job(id="1", queue="mail", name="x", state=state, data="{}", **fields)  # type: ignore[arg-type]


def past(number: int, outcome: str = "retried", **fields: object) -> PastAttempt:
    at = number * 100
    return PastAttempt(number, at, at + 10, "w-1", outcome, f"no {number}", **fields)  # type: ignore[arg-type]


def told(job: Job) -> list[tuple[int, str, int | None]]:
    return [(one.number, one.outcome, one.started_at) for one in attempts_of(job)]


def test_a_job_that_nobody_started_has_none() -> None:
    assert attempts_of(job()) == ()


def test_recorded_ones_have_their_times_and_the_last_one_is_the_job_itself() -> None:
    seen = job(
        JobState.COMPLETED, attempts_made=3, past=(past(1), past(2)), started_at=300, finished_at=310, worker="w-2"
    )
    assert told(seen) == [(1, "failed", 100), (2, "failed", 200), (3, "completed", 300)]
    first, _, last = attempts_of(seen)
    assert (first.ended_at, first.worker, first.reason) == (110, "w-1", "no 1")
    assert (last.ended_at, last.worker, last.reason) == (310, "w-2", None)


def test_a_running_one_is_the_next() -> None:
    seen = job(JobState.ACTIVE, attempts_made=1, past=(past(1),), started_at=200, worker="w-2")
    assert told(seen) == [(1, "failed", 100), (2, "running", 200)]


def test_a_crash_shares_its_number_with_the_next_attempt() -> None:
    crash = past(1, "crashed")
    seen = job(JobState.FAILED, attempts_made=1, past=(crash, past(1, "failed")), started_at=100, finished_at=110)
    assert told(seen) == [(1, "crashed", 100), (1, "failed", 100)]
    assert told(job(JobState.ACTIVE, past=(crash,), started_at=150)) == [(1, "crashed", 100), (1, "running", 150)]


def test_what_node_tried_is_known_by_its_trace_and_the_last_one_by_the_job() -> None:
    seen = job(
        JobState.FAILED, attempts_made=3, traces=("a", "b", "c"), started_at=300, finished_at=310, failed_reason="no 3"
    )
    assert told(seen) == [(1, "failed", None), (2, "failed", None), (3, "failed", 300)]
    assert [(one.trace, one.reason) for one in attempts_of(seen)] == [("a", None), ("b", None), ("c", "no 3")]


def test_attempts_of_both_stand_in_order() -> None:
    seen = job(attempts_made=3, traces=("a", "b", "c"), past=(past(2, traced=True),))
    assert told(seen) == [(1, "failed", None), (2, "failed", 200), (3, "failed", None)]
    assert [one.trace for one in attempts_of(seen)] == ["a", "b", "c"]


def test_traces_belong_to_the_latest_that_left_one() -> None:
    recorded = (past(1, traced=True), past(2), past(3, traced=True))
    seen = attempts_of(job(attempts_made=3, past=recorded, traces=("first", "third")))
    assert [one.trace for one in seen] == ["first", None, "third"]
    seen = attempts_of(job(attempts_made=3, past=recorded, traces=("third",)))
    assert [one.trace for one in seen] == [None, None, "third"]


def test_counted_from_1_again_the_earlier_ones_stay() -> None:
    earlier = (past(1), past(2, "failed"))
    assert told(job(attempts_made=0, past=earlier)) == [(1, "failed", 100), (2, "failed", 200)]
    again = (*earlier, past(1))
    assert told(job(attempts_made=1, past=again)) == [(1, "failed", 100), (2, "failed", 200), (1, "failed", 100)]
    by_node = job(attempts_made=1, past=earlier, traces=("of node",))
    assert told(by_node) == [(1, "failed", 100), (2, "failed", 200), (1, "failed", None)]


def test_of_many_those_that_are_kept_are_told() -> None:
    seen = job(attempts_made=40, past=tuple(past(n) for n in range(16, 41)))
    assert [number for number, _, _ in told(seen)] == list(range(16, 41))


def test_the_newest_says_its_whole_reason_and_kind() -> None:
    whole = "no 2" + "!" * 400
    seen = attempts_of(job(attempts_made=2, past=(past(1), past(2)), failed_reason=whole, fingerprint="f1"))
    assert [(one.reason, one.fingerprint) for one in seen] == [("no 1", None), (whole, "f1")]


def test_a_delay_before_the_next_attempt_is_told() -> None:
    seen = attempts_of(job(attempts_made=2, past=(past(1, retry_delay_ms=2_000), past(2, "failed"))))
    assert [one.retry_delay_ms for one in seen] == [2_000, None]
