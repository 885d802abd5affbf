"""Looking and telling, on each engine: hooks, alert jobs, several processes, stores that go away."""

import json
from collections.abc import Sequence

import pytest

from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.alert import Alert, AlertHook, AlertState
from corral.alerts.settings import AlertSettings
from corral.alerts.watch import Watch
from corral.errors import StorageError
from corral.intake import OPEN, Intake
from corral.job import JobState, NewJob
from corral.monitor.monitor import Monitor
from corral.storage.passing import Passing
from corral.storage.port import Added, Storage
from corral.timing import Millis

T0 = 1_795_000_000_000
AT_ONCE = AlertSettings(after_ms=0, every_ms=10_000)


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> Millis:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(
    storage: Storage, clock: Clock, *hooks: AlertHook, settings: AlertSettings = AT_ONCE, intake: Intake = OPEN
) -> Watch:
    monitor = Monitor(storage, clock=clock, thresholds=settings.thresholds)
    return Watch(monitor, Admin(storage, monitor, clock=clock), settings, hooks=hooks, intake=intake)


async def stick(storage: Storage, clock: Clock) -> None:
    """Jobs wait, and nobody serves their queue."""
    await storage.add([NewJob(queue="mail", name="n")], now=clock.now)
    clock.now += 120_000


async def alert_jobs(storage: Storage) -> list[dict[str, object]]:
    page = await storage.page("alerts", [JobState.WAITING], newest_first=False)
    assert all(job.name == "alert" for job in page.items)
    return [json.loads(job.data) for job in page.items]


async def test_hooks_are_told_when_something_begins_and_when_it_is_over(storage: Storage, clock: Clock) -> None:
    told: list[Alert] = []
    looking = watch(storage, clock, told.append)
    await stick(storage, clock)
    await looking.look()
    assert {(one.rule, one.state, one.queue) for one in told} == {
        ("no-worker", AlertState.OPENED, "mail"), ("oldest-waiting", AlertState.OPENED, "mail"),
    }  # fmt: skip
    assert all(one.remedy and one.message and one.at == clock.now for one in told)
    told.clear()
    await storage.obliterate("mail", force=True)
    clock.now += 20_000
    await looking.look()
    assert {(one.rule, one.state) for one in told} == {
        ("no-worker", AlertState.CLOSED), ("oldest-waiting", AlertState.CLOSED),
    }  # fmt: skip
    assert await storage.entries("alert", now=clock.now) == []


async def test_alert_jobs_carry_the_alert(storage: Storage, clock: Clock) -> None:
    settings = AlertSettings(after_ms=0, queue="alerts")
    await stick(storage, clock)
    await watch(storage, clock, settings=settings).look()
    found = {job["rule"]: job for job in await alert_jobs(storage)}
    assert found["no-worker"]["state"] == "opened"
    assert found["oldest-waiting"]["severity"] in ("warning", "critical")
    assert found["oldest-waiting"]["threshold"] == 60_000


async def test_of_two_processes_one_tells(storage: Storage, clock: Clock) -> None:
    told: list[Alert] = []
    first, second = (watch(storage, clock, told.append) for _ in range(2))
    await stick(storage, clock)
    await first.look()
    count = len(told)
    await second.look()
    assert count == len(told) == 2


async def test_when_the_one_that_looked_is_gone_another_goes_on(storage: Storage, clock: Clock) -> None:
    told: list[Alert] = []
    first, second = (watch(storage, clock, told.append) for _ in range(2))
    await stick(storage, clock)
    await first.look()
    told.clear()
    clock.now += 31_000  # longer than its lease
    await second.look()
    assert told == []  # it knows what was told
    await storage.obliterate("mail", force=True)
    clock.now += 10_000
    await second.look()
    assert {one.state for one in told} == {AlertState.CLOSED}


async def test_a_failing_hook_does_not_keep_others_from_hearing(
    storage: Storage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Alert] = []

    async def fails(alert: Alert) -> None:
        raise ValueError("no")

    await stick(storage, clock)
    await watch(storage, clock, fails, told.append).look()
    assert len(told) == 2
    assert "fails failed on an alert" in caplog.text


class Refusing(Passing):
    """A store whose alert queue takes nothing, as long as it is told so."""

    refuses = True

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        if self.refuses and jobs[0].queue == "alerts":
            raise StorageError("the disk is full")
        return await super().add(jobs, now=now)


async def test_an_alert_that_could_not_be_told_is_told_later_and_once(storage: Storage, clock: Clock) -> None:
    store = Refusing(storage)
    looking = watch(store, clock, settings=AlertSettings(after_ms=0, queue="alerts"))
    await stick(storage, clock)
    with pytest.raises(StorageError):
        await looking.look()
    store.refuses = False
    for _ in range(3):
        clock.now += 5_000
        await looking.look()
    rules = [job["rule"] for job in await alert_jobs(storage)]
    assert sorted(map(str, rules)) == ["no-worker", "oldest-waiting"]


async def test_what_is_wrong_with_the_alert_queue_makes_no_alert_job(storage: Storage, clock: Clock) -> None:
    told: list[Alert] = []
    await storage.add([NewJob(queue="alerts", name="n")], now=clock.now)
    clock.now += 120_000
    await watch(storage, clock, told.append, settings=AlertSettings(after_ms=0, queue="alerts")).look()
    assert {one.queue for one in told} == {"alerts"}
    assert (await storage.counts(["alerts"]))[0].waiting == 1


async def test_enqueue_middleware_sees_alert_jobs(storage: Storage, clock: Clock) -> None:
    seen: list[str] = []
    intake = Intake()

    async def look(job: NewJob, call_next: object) -> NewJob:
        seen.append(job.name)
        return job

    intake.middlewares.append(look)
    await stick(storage, clock)
    await watch(storage, clock, settings=AlertSettings(after_ms=0, queue="alerts"), intake=intake).look()
    assert seen == ["alert", "alert"]


async def test_nobody_is_told_of_a_muted_finding(storage: Storage, clock: Clock) -> None:
    told: list[Alert] = []
    looking = watch(storage, clock, told.append)
    await stick(storage, clock)
    monitor = Monitor(storage, clock=clock)
    desk = Admin(storage, monitor, clock=clock).by(Actor(sub="ann"), "we know")
    [finding] = [one for one in await monitor.attention() if one.rule == "no-worker"]
    await desk.mute("finding", finding.id, clock.now + 60_000)
    await looking.look()
    assert [one.rule for one in told] == ["oldest-waiting"]


@pytest.mark.mission("M-GL-77", "M-BI-44", "M-TS-53")
async def test_the_guides_numbers_raise_an_alert(storage: Storage, clock: Clock) -> None:
    """waiting > 1000, as the platform guides ask."""
    told: list[Alert] = []
    for _ in range(11):
        await storage.add([NewJob(queue="mail", name="n") for _ in range(91)], now=clock.now)
    await watch(storage, clock, told.append).look()
    assert [(one.rule, one.value, one.threshold) for one in told if one.rule == "waiting"] == [
        ("waiting", 1_001, 1_000)
    ]
