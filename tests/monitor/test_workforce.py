"""How many workers a queue wants."""

from msgspec.structs import replace

from corral.monitor.objects import QueueRow, Rates, Spread
from corral.monitor.workforce import autoscale

ROW = QueueRow(
    name="mail", state="active", waiting=16, active=5, workers=2, slots=10, oldest_waiting_ms=800,
    rates=Rates(window_ms=900_000, completed=900, per_second=14.2, source="metrics"), run=Spread(900, 900.0),
)  # fmt: skip
TARGET = 30_000


def test_new_jobs_and_the_backlog_are_both_served() -> None:
    # (14.2 / s · 0.9 s + 16 · 0.9 s / 30 s) / 5 slots = 2.652
    told = autoscale(ROW, target_ms=TARGET)
    assert (told.desired_workers, told.load, told.utilization) == (3, 2.652, 0.5)
    assert (told.backlog, told.slots_per_worker, told.service_ms_mean) == (16, 5.0, 900.0)


def test_a_growing_backlog_counts_as_arrivals() -> None:
    assert autoscale(replace(ROW, grows_per_minute=60.0), target_ms=TARGET).arrivals_per_second == 15.2


def test_an_idle_queue_wants_none_and_a_waiting_one_at_least_one() -> None:
    idle = replace(ROW, waiting=0, active=0, rates=Rates(window_ms=1), run=Spread())
    assert autoscale(idle, target_ms=TARGET).desired_workers == 0
    assert autoscale(replace(idle, waiting=1, workers=0, slots=0), target_ms=TARGET).desired_workers == 1
    assert autoscale(replace(idle, active=1), target_ms=TARGET).desired_workers == 1


def test_a_paused_queue_has_no_backlog_to_serve() -> None:
    assert autoscale(replace(ROW, state="paused"), target_ms=TARGET).backlog == 0


def test_when_nobody_knows_how_long_a_job_takes_the_workers_stay() -> None:
    assert autoscale(replace(ROW, run=Spread()), target_ms=TARGET).desired_workers == 2
