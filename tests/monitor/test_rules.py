"""Attention rules: from when on each speaks, what it says, and when it is silent."""

import pytest
from msgspec.structs import replace

from corral.monitor.objects import Finding, QueueRow, Rates, ScheduleRow, WorkerRow
from corral.monitor.rules import attention, grade
from corral.monitor.thresholds import DEFAULTS, Thresholds

NOW = 1_700_000_000_000
MINUTE = 60_000
QUIET = Rates(window_ms=15 * MINUTE)
ROW = QueueRow(name="mail", state="active", rates=QUIET, workers=1, slots=5)
SCHEDULE = ScheduleRow(queue="mail", key="nightly", name="x", when="0 1 * * *", words="", tz="UTC", state="active")
WORKER = WorkerRow(
    id="w1", name="mailer", host="box", pid=7, state="busy", queues=("mail",), slots=5, busy=2, started_at=0,
    seen_at=NOW, silent_ms=0,
)  # fmt: skip


def ended(completed: int, failed: int) -> Rates:
    share = failed / (completed + failed)
    return replace(QUIET, completed=completed, failed=failed, failure_share=share, source="metrics")


def of(row: QueueRow, thresholds: Thresholds = DEFAULTS) -> list[Finding]:
    return list(attention([row], [], [], now=NOW, thresholds=thresholds))


def rules(row: QueueRow, thresholds: Thresholds = DEFAULTS) -> list[tuple[str, str]]:
    return [(one.rule, one.severity) for one in of(row, thresholds)]


def test_a_quiet_queue_is_no_news() -> None:
    assert rules(replace(ROW, waiting=10, active=5, failed=100, oldest_waiting_ms=60_000)) == []


@pytest.mark.mission("M-TS-53", "M-GL-77")
@pytest.mark.parametrize(
    ("row", "finding"),
    [
        (replace(ROW, waiting=1_001), ("waiting", "warning")),
        (replace(ROW, waiting=10_001), ("waiting", "critical")),
        (replace(ROW, failed=101), ("failed", "warning")),
        (replace(ROW, waiting=1, oldest_waiting_ms=60_001), ("oldest-waiting", "warning")),
        (replace(ROW, waiting=1, oldest_waiting_ms=600_001), ("oldest-waiting", "critical")),
        (replace(ROW, waiting=1, workers=0), ("no-worker", "critical")),
        (replace(ROW, rates=ended(94, 6)), ("failure-share", "critical")),
        (replace(ROW, state="paused", waiting=9, oldest_waiting_ms=600_001), ("paused-backlog", "warning")),
        (replace(ROW, state="held", waiting=9, held_until=NOW + 5_000), ("held", "warning")),
        (replace(ROW, state="probing", waiting=9), ("held", "note")),
        (replace(ROW, waiting=500, grows_per_minute=10.0), ("growing", "note")),
    ],
)
def test_each_rule_speaks_beyond_its_threshold(row: QueueRow, finding: tuple[str, str]) -> None:
    assert rules(row) == [finding]


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, waiting=1_000),
        replace(ROW, rates=ended(17, 2)),  # too few to tell
        replace(ROW, rates=ended(95, 5)),
        replace(ROW, state="paused", waiting=9, workers=0, oldest_waiting_ms=600_000),
        replace(ROW, waiting=500, grows_per_minute=8.0),
        replace(ROW, waiting=99, grows_per_minute=99.0),
        replace(ROW, waiting=500, grows_per_minute=-9.0),
    ],
)
def test_at_the_threshold_all_are_silent(row: QueueRow) -> None:
    assert rules(row) == []


def test_a_queue_that_only_node_works_on_is_not_without_workers() -> None:
    assert rules(replace(ROW, waiting=5, workers=0, active=1)) == []
    assert rules(replace(ROW, waiting=5, workers=0, rates=replace(ended(9, 0), source="sample"))) == []


def test_none_turns_a_rule_off() -> None:
    off = Thresholds(
        waiting=None, failed=None, oldest_ms=None, failure_share=None, no_worker=None, paused_ms=None, held=None
    )
    bad = replace(ROW, waiting=5_000, failed=5_000, workers=0, oldest_waiting_ms=NOW, rates=ended(1, 99))
    for state in ("active", "paused", "held"):
        assert rules(replace(bad, state=state), off) == []


def test_a_queue_may_have_thresholds_of_its_own() -> None:
    strict = Thresholds(queues={"mail": Thresholds(waiting=10), "bulk*": Thresholds(waiting=None)})
    assert rules(replace(ROW, waiting=11), strict) == [("waiting", "warning")]
    assert rules(replace(ROW, name="bulk-1", waiting=5_000), strict) == []
    assert rules(replace(ROW, name="other", waiting=1_001), strict) == [("waiting", "warning")]


def test_a_finding_says_what_since_when_how_much_and_what_to_do() -> None:
    [finding] = of(replace(ROW, waiting=1_204, workers=0, oldest_waiting_ms=30_000), Thresholds(waiting=None))
    assert finding == Finding(
        rule="no-worker", severity="critical", queue="mail", value=1_204, since=NOW - 30_000,
        message="mail: 1,204 jobs waiting and no worker takes them",
        remedy="start a worker: corral worker APP --queues mail",
    )  # fmt: skip
    assert finding.id == "no-worker/mail"


def test_the_forecast_is_in_the_sentence() -> None:
    [falling] = of(replace(ROW, waiting=2_000, grows_per_minute=-100.0, empty_in_ms=20 * MINUTE))
    assert falling.message == "mail: 2,000 jobs waiting, more than 1,000; at this rate empty in 20 min"
    [rising] = of(replace(ROW, waiting=400, grows_per_minute=20.0))
    assert rising.message == "mail: 400 jobs waiting, 20 more each minute: more than 1,000 in 30 min"


def test_schedules_that_are_late_or_lost_are_critical() -> None:
    late = replace(SCHEDULE, state="overdue", overdue_ms=14 * MINUTE, missed=3, next_at=NOW - 14 * MINUTE)
    [finding] = attention([], [late], [], now=NOW)
    assert finding.message == "schedule nightly of mail was due 14 min ago, 3 runs missed"
    assert (finding.rule, finding.since, finding.subject) == ("schedule-overdue", NOW - 14 * MINUTE, "nightly")
    [finding] = attention([], [replace(SCHEDULE, state="lost")], [], now=NOW)
    assert (finding.rule, finding.severity) == ("schedule-lost", "critical")
    assert attention([], [SCHEDULE, replace(late, overdue_ms=MINUTE)], [], now=NOW) == ()


def test_a_worker_that_vanished_with_jobs_is_news() -> None:
    gone = replace(WORKER, state="stale", silent_ms=74_000, seen_at=NOW - 74_000)
    [finding] = attention([], [], [gone], now=NOW)
    assert finding.message == "worker mailer on box was not seen for 1.23 min and had 2 jobs"
    assert attention([], [], [WORKER, replace(gone, busy=0)], now=NOW) == ()


def test_the_worst_comes_first() -> None:
    found = attention(
        [replace(ROW, failed=101), replace(ROW, name="a", waiting=1, workers=0)], [replace(SCHEDULE, state="lost")], [],
        now=NOW,
    )  # fmt: skip
    assert [one.id for one in found] == ["no-worker/a", "schedule-lost/mail/nightly", "failed/mail"]
    assert [grade(found, queue) for queue in ("a", "mail", "none")] == [3, 3, 0]


def test_a_queues_own_slo_takes_the_place_of_the_threshold() -> None:
    late = replace(ROW, waiting=1, oldest_waiting_ms=20_000)
    assert rules(late) == []
    strict = replace(late, slo_ms=15_000)
    assert [(one.rule, one.threshold, one.since) for one in of(strict)] == [("oldest-waiting", 15_000, NOW - 5_000)]
    assert rules(strict, Thresholds(oldest_ms=None)) == [("oldest-waiting", "warning")]  # also where the rule is off
    assert rules(replace(ROW, waiting=1, oldest_waiting_ms=90_000, slo_ms=120_000)) == []
