"""What people do with schedules: its effect, its entry in the audit log, and what is refused."""

import pytest
from msgspec.structs import replace

from corral.admin.admin import Admin, Desk
from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError, ScheduleNotFoundError
from corral.monitor.monitor import Monitor
from corral.options import JobOptions
from corral.schedule import Cron, Every, Schedule
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, the

from .helpers import ANA, entries, last_entry

NIGHTLY = Schedule(key="nightly", queue=QUEUE, name="report", timing=Every(60), data='{"n":1}')


async def stored(storage: Storage, key: str = "nightly") -> Schedule:
    [schedule] = [one for one in (await storage.schedules(queue=QUEUE)).items if one.key == key]
    return schedule


async def test_a_schedule_is_made_and_changed_with_what_it_was_in_the_log(desk: Desk, storage: Storage) -> None:
    made = await desk.put_schedule(NIGHTLY)
    assert made.next_at == T0 + MINUTE
    entry = await last_entry(desk)
    assert (entry.action, entry.target, entry.before) == ("schedule.put", {"queue": QUEUE, "schedule": "nightly"}, None)
    assert (entry.after or {})["data"] == {"n": 1}
    changed = await desk.put_schedule(replace(NIGHTLY, timing=Cron("0 9 * * *", tz="Europe/Oslo")))
    assert await stored(storage) == changed
    entry = await last_entry(desk)
    assert (entry.before or {})["timing"] == {"type": "every", "seconds": 60.0}
    assert (entry.after or {})["timing"] == {"type": "cron", "expression": "0 9 * * *", "tz": "Europe/Oslo"}


async def test_an_edit_changes_what_it_names_and_keeps_the_next_run(desk: Desk, storage: Storage, clock: Clock) -> None:
    before = await desk.put_schedule(NIGHTLY)
    clock.tick(1_000)
    after = await desk.edit_schedule(QUEUE, "nightly", data='{"n":2}', priority=3, limit=9)
    assert (after.data, after.priority, after.limit) == ('{"n":2}', 3, 9)
    assert after.timing == before.timing
    entry = await last_entry(desk)
    assert (entry.before or {})["data"] == {"n": 1}
    assert (entry.after or {})["data"] == {"n": 2}
    moved = await desk.edit_schedule(QUEUE, "nightly", timing=Every(120))
    assert moved.next_at == T0 + 1_000 + 2 * MINUTE


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, ConfigError),
        ({"priority": -1}, ConfigError),
        ({"limit": 0}, ConfigError),
        ({"data": "{"}, PayloadError),
        ({"name": "a:b"}, ConfigError),
    ],
)
async def test_an_edit_that_cannot_be_meant_changes_nothing(
    desk: Desk, storage: Storage, change: dict[str, object], error: type[Exception]
) -> None:
    before = await desk.put_schedule(NIGHTLY)
    with pytest.raises(error):
        await desk.edit_schedule(QUEUE, "nightly", **change)  # type: ignore[arg-type]  # what cannot be meant
    assert await stored(storage) == before
    assert (await last_entry(desk)).outcome == "refused"


async def test_a_schedule_is_paused_resumed_run_and_dropped(desk: Desk, storage: Storage, clock: Clock) -> None:
    await desk.put_schedule(NIGHTLY)
    assert (await desk.pause_schedule(QUEUE, "nightly")).paused
    added = await desk.run_schedule(QUEUE, "nightly")
    assert ((await the(storage, added.id)).state, (await the(storage, added.id)).schedule) == ("waiting", "nightly")
    clock.tick(10 * MINUTE + 1)
    assert (await desk.resume_schedule(QUEUE, "nightly")).next_at == T0 + 11 * MINUTE
    await desk.drop_schedule(QUEUE, "nightly")
    assert (await storage.schedules(queue=QUEUE)).total == 0
    log = await entries(desk)
    assert [entry.action for entry in log] == [
        "schedule.drop", "schedule.resume", "schedule.run", "schedule.pause", "schedule.put",
    ]  # fmt: skip
    assert (log[0].before or {})["name"] == "report"
    assert log[2].ids == (added.id,)


async def test_a_schedule_without_a_next_run_gets_one(desk: Desk, storage: Storage) -> None:
    made = await desk.put_schedule(NIGHTLY)
    assert await desk.repair_schedule(QUEUE, "nightly") == made
    await storage.put_schedules([replace(made, next_at=None)], now=T0)
    assert (await desk.repair_schedule(QUEUE, "nightly")).next_at == T0 + MINUTE
    entry = await last_entry(desk)
    assert (entry.before, entry.after) == ({"next_at": None}, {"next_at": T0 + MINUTE})


async def test_what_is_sensitive_of_a_schedule_is_not_in_the_log(desk: Desk) -> None:
    options = JobOptions(sensitive=("diagnosis",))
    data = '{"diagnosis":"CANARY","password":"CANARY"}'
    await desk.put_schedule(replace(NIGHTLY, data=data, options=options))
    await desk.edit_schedule(QUEUE, "nightly", data=data.replace("CANARY", "CANARY-2"))
    await desk.drop_schedule(QUEUE, "nightly")
    assert "CANARY" not in repr(await entries(desk))


async def test_an_unknown_schedule_is_an_error_and_noted(desk: Desk) -> None:
    await desk.put_schedule(NIGHTLY)
    for call in (
        desk.run_schedule, desk.pause_schedule, desk.resume_schedule, desk.drop_schedule, desk.repair_schedule,
    ):  # fmt: skip
        with pytest.raises(ScheduleNotFoundError, match="did you mean 'nightly'"):
            await call(QUEUE, "nightl")
    with pytest.raises(ScheduleNotFoundError):
        await desk.edit_schedule(QUEUE, "nightl", priority=1)
    assert {entry.problem for entry in (await entries(desk))[:-1]} == {"schedule-not-found"}


async def test_a_payload_that_the_application_makes_is_made_by_it(
    storage: Storage, monitor: Monitor, clock: Clock, desk: Desk
) -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue(QUEUE).job("report")
    async def report(data: dict[str, int]) -> None: ...

    app.schedule("computed", Every(60), report, lambda: {"n": 42})
    await app.scheduler(storage).reconcile(app.schedules.declared(), now=T0)
    with pytest.raises(ConfigError, match="run it from there"):
        await desk.run_schedule(QUEUE, "computed")
    employee = Admin(storage, monitor, app=app, clock=lambda: clock.now).by(ANA)
    added = await employee.run_schedule(QUEUE, "computed")
    assert (await the(storage, added.id)).data == '{"n":42}'
    fixed = await employee.edit_schedule(QUEUE, "computed", data='{"n":1}')
    assert (fixed.computed, fixed.owner) == (False, "app")
    with pytest.raises(PayloadError):
        await employee.edit_schedule(QUEUE, "computed", data='{"n":"many"}')


async def test_a_schedule_that_an_application_declares_stays_its_own(desk: Desk, storage: Storage) -> None:
    await storage.put_schedules([replace(NIGHTLY, owner="shop", next_at=T0 + MINUTE)], now=T0)
    assert (await desk.put_schedule(replace(NIGHTLY, priority=4))).owner == "shop"
    assert (await stored(storage)).priority == 4
