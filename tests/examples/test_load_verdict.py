"""The verdict of the load test must be able to be bad news."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corral import Corral, Cron, Event, EventType, GroupLimits, RateLimit
from corral.testing import FakeClock, app_in_memory, drain, fire_schedules
from examples.demo.stage import Stage
from tests.load.again import Again
from tests.load.crew import play
from tests.load.hurry import Hurry
from tests.load.ledger import Ledger, fullest_stretch
from tests.load.one import Run
from tests.load.plan import Plan

PLAN = Plan(fires=2, period=2)


def make_app() -> Corral:
    app = Corral("sqlite:///:memory:")
    mail = app.queue("mail", concurrency=2, rate_limit=RateLimit(3, per=1))

    @mail.job("hello")
    async def hello() -> None: ...

    @mail.job("alone", concurrency=1)
    async def alone() -> None: ...

    app.schedule("daily", Cron("0 1 * * *"), hello)
    return app


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def app(clock: FakeClock) -> AsyncIterator[Corral]:
    app = make_app()
    async with app_in_memory(app, clock=clock):
        yield app


@pytest.fixture
def stage(app: Corral, tmp_path: Path) -> Stage:
    return Stage(tmp_path, app.url)


def seen(ledger: Ledger, *events: tuple[EventType, str, int], name: str = "hello") -> None:
    for kind, job_id, at in events:
        ledger._observe(Event(type=kind, queue="mail", at=at, job_id=job_id, name=name))


def starts(*moments: int) -> list[tuple[EventType, str, int]]:
    """Jobs that start at these moments and end at once."""
    return [(kind, f"j{n}", at) for n, at in enumerate(moments) for kind in (EventType.ACTIVE, EventType.COMPLETED)]


def test_starts_are_counted_in_every_stretch() -> None:
    assert fullest_stretch([], 1_000) == 0
    assert fullest_stretch([0, 999, 1_000, 1_001], 1_000) == 3
    assert fullest_stretch([0, 1_000, 2_000], 1_000) == 1


def test_more_starts_than_two_windows_allow_are_a_problem(app: Corral, stage: Stage) -> None:
    ledger = Ledger(app, stage)
    seen(ledger, *starts(0, 900, 950, 1_000, 1_010, 1_020))
    assert ledger.problems(workers=1) == []
    assert ledger.fullest() == {"mail": 3}
    seen(ledger, *starts(1_030, 1_040))
    assert ledger.problems(workers=1) == ["mail: 7 starts within 1 s, of 3"]


def test_more_jobs_at_once_than_there_are_slots_are_a_problem(app: Corral, stage: Stage) -> None:
    ledger = Ledger(app, stage)
    seen(ledger, *((EventType.ACTIVE, f"j{n}", n * 500) for n in range(2)))
    seen(ledger, (EventType.RETRYING, "j0", 600), (EventType.ACTIVE, "j0", 2_000))
    assert ledger.problems(workers=1) == []
    seen(ledger, (EventType.ACTIVE, "j3", 3_000))
    assert ledger.problems(workers=1) == ["mail: 3 jobs at once, of 2"]
    assert ledger.problems(workers=2) == []
    seen(ledger, (EventType.ACTIVE, "a1", 4_000), (EventType.ACTIVE, "a2", 5_000), name="alone")
    assert "mail/alone: 2 at once, of 1" in ledger.problems(workers=4)


def test_more_jobs_of_a_group_than_it_may_have_are_a_problem(app: Corral, stage: Stage) -> None:
    app.queues["mail"].group_limits = GroupLimits(concurrency=1)
    ledger = Ledger(app, stage)
    ledger.groups |= {("mail", "j0"): "a", ("mail", "j1"): "a", ("mail", "j2"): "b"}
    seen(ledger, (EventType.ACTIVE, "j0", 0), (EventType.ACTIVE, "j2", 500), (EventType.COMPLETED, "j0", 600))
    seen(ledger, (EventType.ACTIVE, "j1", 2_000))
    assert ledger.problems(workers=1) == []
    seen(ledger, (EventType.ACTIVE, "j0", 3_000))
    assert "mail: 2 jobs of group a at once, of 1" in ledger.problems(workers=2)


async def test_a_schedule_that_does_not_run_is_a_problem(app: Corral, clock: FakeClock) -> None:
    hurry = Hurry(app, PLAN)
    await hurry.look(clock())
    await hurry.look(clock())
    assert (hurry.over, hurry.problems()) == (False, ["schedule mail/daily ran 0 times of 2"])
    clock.advance(5)
    await hurry.look(clock())
    assert "is late by" in hurry.problems()[0]
    for _ in range(3):
        await fire_schedules(app)
        clock.advance(5)
    await hurry.look(clock())
    assert (hurry.over, hurry.problems(), hurry.fired) == (True, [], {"mail/daily": 2})


async def test_a_job_that_is_gone_or_failed_is_a_problem(app: Corral, stage: Stage) -> None:
    run = Run(None, app, stage, PLAN)  # type: ignore[arg-type]  # there is no demo to play
    await run.ledger.begin()
    gone = await app.queues["mail"].definition("hello").add()
    await gone.remove()
    await run.ledger.look()
    verdict = await run.verdict("tiny", 1)
    assert verdict.problems == [f"lost: mail/{gone.id}"]


async def test_a_dashboard_that_shows_something_else_is_a_problem(app: Corral, stage: Stage) -> None:
    run = Run(None, app, stage, PLAN)  # type: ignore[arg-type]  # there is no demo to play
    await run.ledger.begin()
    await app.queues["mail"].definition("hello").add()
    await drain(app)
    await run.ledger.look()
    await run._compare()
    assert run.problems == []
    run.ledger.completions["mail"] += 1
    await run._compare()
    assert "mail: 2 completions, 1 counted" in run.problems[0]


async def test_only_what_ended_well_is_added_again(app: Corral, stage: Stage) -> None:
    ledger = Ledger(app, stage)
    await ledger.begin()
    again = Again(app, stage, ledger, rate=10)
    await again.go(1)
    assert again.count == 0
    await app.queues["mail"].definition("hello").add()
    await drain(app)
    await ledger.look()
    await again.go(0.5)
    assert again.count == 5


async def test_a_platform_that_cannot_even_begin_is_a_problem(tmp_path: Path) -> None:
    verdict = await play("nowhere", f"sqlite:///{tmp_path / 'x.db'}", tmp_path / "nowhere", PLAN)
    assert "No module named 'examples.nowhere'" in verdict.problems[0]
