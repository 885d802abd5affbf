"""Why is it not running: one test for each reason, and for the estimate."""

from typing import Any

import pytest

from corral.job import Job, JobState
from corral.options import GroupLimits, RateLimit
from corral.storage.insight import GroupInfo, Place
from corral.storage.port import Children, QueueCounts, QueueInfo, WorkerInfo
from corral.why import Cause, Facts, Reason, Why, why

NOW = 1_800_000_000_000
SOON = NOW + 30_000
WORKER = WorkerInfo(id="w", name="w", host="h", pid=1, queues=("mail",), slots=4, started_at=0)


def job(state: JobState = JobState.WAITING, **fields: Any) -> Job:
    return Job(id="7", queue="mail", name="welcome", state=state, data="{}", **fields)


def ask(one: Job, **fields: Any) -> Why:
    settings = {key: fields.pop(key) for key in [*fields] if key in QueueInfo.__struct_fields__}
    info = QueueInfo(name="mail", **settings)
    counts = fields.pop("counts", QueueCounts(queue="mail", waiting=1))
    return why(one, Facts(now=NOW, info=info, counts=counts, **{"workers": (WORKER,), **fields}))


def only(answer: Why) -> Reason:
    [reason] = answer.reasons
    return reason


# -- what happened instead ---------------------------------------------------------------------------------------------


def test_a_running_job_tells_where_and_for_how_long() -> None:
    reason = only(ask(job(JobState.ACTIVE, worker="box-1", started_at=NOW - 90_000)))
    assert (reason.cause, reason.text) == (Cause.RUNNING, "it is running on box-1 for 1.5 min")


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (job(JobState.COMPLETED, finished_at=NOW), "it completed 2027-01-15 08:00:00 UTC"),
        (job(JobState.FAILED, failed_reason="cancelled: no need"), "it failed for good: cancelled: no need"),
        (job(JobState.FAILED, failed_reason="expired"), "it failed for good: expired"),
    ],
)
def test_a_job_that_has_ended_tells_how(ended: Job, text: str) -> None:
    answer = ask(ended, paused=True)
    assert (only(answer).cause, only(answer).text, answer.starts_at) == (Cause.ENDED, text, None)


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_a_paused_queue_tells_by_whom_and_promises_nothing() -> None:
    answer = ask(job(), paused=True, pause_reason="ann: maintenance")
    assert only(answer) == Reason(Cause.PAUSED, "the queue is paused: ann: maintenance", "resume the queue")
    assert answer.starts_at is None


def test_a_hold_tells_until_when_and_why() -> None:
    answer = ask(job(), held_until=SOON, hold_reason="429 from the mail server")
    assert only(answer).cause is Cause.HELD
    assert only(answer).text == "the queue is held until 2027-01-15 08:00:30 UTC: 429 from the mail server"
    assert answer.starts_at == SOON


def test_a_hold_that_is_over_is_no_reason_but_its_probing_may_be() -> None:
    assert only(ask(job(), held_until=NOW - 1)).cause is Cause.READY
    counts = QueueCounts(queue="mail", waiting=1, active=1)
    assert only(ask(job(), counts=counts, probing=True, ended=60, over_ms=60_000)).cause is Cause.PROBING
    assert only(ask(job(), probing=True)).cause is Cause.READY


def test_a_rate_limit_tells_its_numbers_and_when_it_is_free() -> None:
    one = Facts(
        now=NOW, info=QueueInfo(name="mail", rate_limit=RateLimit(10, per=60), more_limits=(RateLimit(100, per=3600),)),
        counts=QueueCounts(queue="mail"), held_until=SOON, workers=(WORKER,),
    )  # fmt: skip
    answer = why(job(), one)
    assert only(answer).cause is Cause.RATE_LIMITED
    assert "(10 each 60 s and 100 each 3600 s) is used up until 2027-01-15 08:00:30 UTC" in only(answer).text
    assert answer.starts_at == SOON


def test_a_full_queue_tells_how_many_run() -> None:
    answer = ask(job(), counts=QueueCounts(queue="mail", active=3), concurrency=3, ended=60, over_ms=60_000)
    assert only(answer).cause is Cause.QUEUE_FULL
    assert only(answer).text == "3 jobs of the queue may run at once over all workers, and 3 do"
    assert answer.starts_at == NOW + 1000  # one end a second


# -- its group and its name --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "cause", "starts_at"),
    [
        (GroupInfo(id="t7", paused=True), Cause.GROUP_PAUSED, None),
        (GroupInfo(id="t7", held_until=SOON), Cause.GROUP_HELD, SOON),
        (GroupInfo(id="t7", probing=True, active=1), Cause.GROUP_PROBING, NOW + 1000),
        (GroupInfo(id="t7", free_at=SOON), Cause.GROUP_LIMITED, SOON),
        (GroupInfo(id="t7", active=2), Cause.GROUP_FULL, NOW + 1000),
        (GroupInfo(id="t7", active=2, limits=GroupLimits(concurrency=5)), Cause.READY, NOW),
        (GroupInfo(id="t7", held_until=NOW - 1, free_at=NOW - 1), Cause.READY, NOW),
    ],
)
def test_a_group_holds_back_its_own_jobs(group: GroupInfo, cause: Cause, starts_at: int | None) -> None:
    limits = GroupLimits(concurrency=2, rate_limits=(RateLimit(5),))
    answer = ask(job(group="t7"), group=group, group_limits=limits, ended=60, over_ms=60_000)
    assert (only(answer).cause, answer.starts_at) == (cause, starts_at)


def test_a_name_at_its_cap_holds_back_jobs_of_the_name() -> None:
    capped = {"name_concurrency": {"welcome": 2}, "ended": 60, "over_ms": 60_000}
    assert only(ask(job(), name_active=2, **capped)).cause is Cause.NAME_FULL
    assert only(ask(job(), name_active=1, **capped)).cause is Cause.READY


def test_a_name_s_rate_limit_is_told_as_what_may_be() -> None:
    reason = only(ask(job(), name_limits={"welcome": (RateLimit(2, per=10),)}))
    assert (reason.cause, reason.certain) == (Cause.NAME_LIMITED, False)
    assert "(2 each 10 s)" in reason.text


# -- the job itself ----------------------------------------------------------------------------------------------------


def test_a_delayed_job_tells_when_it_is_due_and_why_so_late() -> None:
    answer = ask(job(JobState.DELAYED, run_at=SOON))
    assert (only(answer).cause, only(answer).until, answer.starts_at) == (Cause.DELAYED, SOON, SOON)
    again = ask(job(JobState.DELAYED, run_at=SOON, attempts_made=2, failed_reason="TimeoutError"))
    assert only(again).text.endswith("it backs off since attempt 2 failed (TimeoutError)")
    run = ask(job(JobState.DELAYED, run_at=SOON, schedule="nightly"))
    assert only(run).text == "it is the run of schedule 'nightly' for 2027-01-15 08:00:30 UTC"


def test_a_parent_names_the_children_it_waits_for() -> None:
    children = Children(pending=tuple(("parts", str(number)) for number in range(7)), failed={"x": "no"})
    answer = ask(job(JobState.WAITING_CHILDREN), children=children)
    waits, failed = answer.reasons
    assert waits.text == "it waits for 7 jobs: parts/0, parts/1, parts/2, parts/3, parts/4 and 2 more"
    assert (failed.cause, failed.certain) == (Cause.FAILED_CHILDREN, False)
    assert answer.starts_at is None


def test_a_parent_whose_children_failed_waits_for_a_person() -> None:
    reason = only(ask(job(JobState.WAITING_CHILDREN), children=Children(failed={"x": "no"})))
    assert (reason.cause, reason.certain) == (Cause.FAILED_CHILDREN, True)


def test_a_parent_whose_children_are_not_known_says_so() -> None:
    reason = only(ask(job(JobState.WAITING_CHILDREN, pending_children=2)))
    assert (reason.cause, reason.certain) == (Cause.CHILDREN, False)


# -- workers -----------------------------------------------------------------------------------------------------------


def test_without_a_worker_it_cannot_start() -> None:
    answer = ask(job(), workers=())
    assert only(answer) == Reason(Cause.NO_WORKER, "no worker serves queue 'mail'", "start a worker for it")
    assert answer.starts_at is None


def test_a_worker_that_lacks_the_handler_does_not_help() -> None:
    def knowing(*handlers: str) -> WorkerInfo:
        return WorkerInfo(id="w", name="w", host="h", pid=1, queues=("mail",), slots=4, started_at=0, handlers=handlers)

    assert only(ask(job(), workers=(knowing("mail/other"),))).cause is Cause.NO_HANDLER
    for able in (knowing("mail/welcome"), knowing("mail/*"), knowing()):
        assert only(ask(job(), workers=(knowing("mail/other"), able))).cause is Cause.READY


def test_busy_workers_are_told_and_an_end_is_waited_for() -> None:
    busy = WorkerInfo(id="w", name="w", host="h", pid=1, queues=("mail",), slots=4, started_at=0, running=4)
    answer = ask(job(), workers=(busy,), ended=120, over_ms=60_000)
    assert (only(answer).cause, answer.starts_at) == (Cause.WORKERS_BUSY, NOW + 500)


def test_workers_that_are_not_known_are_no_reason() -> None:
    assert only(ask(job(), workers=None)).cause is Cause.READY


# -- its turn ----------------------------------------------------------------------------------------------------------


def test_jobs_before_it_are_counted_and_the_pace_gives_the_time() -> None:
    answer = ask(job(), place=Place(ahead=119), ended=600, over_ms=60_000)
    assert only(answer) == Reason(
        Cause.BEHIND, "119 jobs are before it", "wait, start more workers, or give it a priority"
    )
    assert answer.starts_at == NOW + 12_000
    assert answer.assumptions == ("the pace of the last 1 min goes on (10 a second)", "nothing more urgent is added")


def test_one_job_before_it_is_told_in_the_singular() -> None:
    assert only(ask(job(), place=Place(ahead=1))).text == "1 job is before it"


def test_the_rate_limit_bounds_the_pace() -> None:
    answer = ask(job(), place=Place(ahead=9), ended=600, over_ms=60_000, rate_limit=RateLimit(2, per=1))
    assert answer.starts_at == NOW + 5_000


def test_without_figures_no_time_is_promised() -> None:
    answer = ask(job(), place=Place(ahead=9))
    assert (answer.starts_at, answer.assumptions) == (None, ())


def test_groups_that_take_turns_come_between() -> None:
    place = Place(ahead=2, exact=False, groups=5)
    answer = ask(job(group="t7"), group=GroupInfo(id="t7"), place=place, ended=60, over_ms=60_000)
    assert only(answer).text == "at least 2 jobs are before it in its group, and 5 groups take turns"
    assert answer.starts_at == NOW + 15_000
    assert answer.assumptions[-1] == "no more jobs are before it than were counted"


def test_a_lifespan_that_ends_first_is_told() -> None:
    answer = ask(job(JobState.DELAYED, run_at=SOON), expires_at=SOON - 1)
    assert [reason.cause for reason in answer.reasons] == [Cause.DELAYED, Cause.EXPIRES]
    assert answer.reasons[1].certain
    in_time = ask(job(), expires_at=SOON)
    assert [reason.cause for reason in in_time.reasons] == [Cause.READY, Cause.EXPIRES]
    assert not in_time.reasons[1].certain


def test_reasons_come_in_order_and_as_text() -> None:
    answer = ask(
        job(JobState.DELAYED, run_at=SOON, group="t7"), paused=True, workers=(), group=GroupInfo(id="t7", paused=True)
    )
    assert [one.cause for one in answer.reasons] == [
        Cause.PAUSED, Cause.GROUP_PAUSED, Cause.DELAYED, Cause.NO_WORKER,
    ]  # fmt: skip
    assert answer.text.splitlines()[0] == "the queue is paused; nobody said why. resume the queue."
    assert ask(job()).text.splitlines()[1].startswith("It may start about 2027-01-15 08:00:00 UTC, if a worker is free")
