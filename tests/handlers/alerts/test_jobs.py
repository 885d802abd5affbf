"""The alert jobs on a real store and both kinds of database."""

import asyncio

import pytest

from corral.app.app import Corral
from corral.errors import ConfigError, JobFailedError, PayloadError
from corral.handlers.alerts import SCHEMA, Alerts, AlertSettings, RaiseAlert, Route, Severity, alert_on_failure, bundle
from corral.handlers.alerts.bundle import ALERT_JOBS
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import BusyError, RefusedError
from corral.options import Exponential
from corral.signals import Retry
from corral.storage.port import Storage
from corral.testing import added, app_in_memory, drain
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk

from .conftest import Ear, Hands

DROP = {
    "organizationId": "456",
    "alertType": "DATA_ANOMALY",
    "severity": "HIGH",
    "message": "Revenue dropped 50% from yesterday",
    "metadata": {"metric": "revenue", "change": -50},
}


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["alerts_0001"] * 4


# -- raising -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-19")
async def test_an_alert_is_kept_and_told(desk: Desk, store: Alerts, ear: Ear) -> None:
    result = await desk.send(DROP, "alert")
    assert (result["count"], result["told"], result["later"]) == (1, ["team"], [])
    [alert] = await store.list("456")
    assert (alert.id, alert.type, alert.severity, alert.state) == (result["alertId"], "DATA_ANOMALY", "HIGH", "open")
    assert alert.metadata == {"metric": "revenue", "change": -50}
    assert ear.heard == [("HIGH", "Revenue dropped 50% from yesterday", 1)]
    [delivery] = await store.deliveries(alert.id)
    assert (delivery.route, delivery.turn, delivery.state) == ("team", 1, "sent")


async def test_what_is_not_bad_enough_is_kept_and_told_nobody(desk: Desk, store: Alerts, ear: Ear) -> None:
    assert (await desk.send({**DROP, "severity": "low"}, "alert"))["told"] == []
    assert (len(await store.list("456")), ear.heard) == (1, [])


async def test_the_same_alert_is_counted_and_not_told_again(desk: Desk, ear: Ear, clock: Hands) -> None:
    for _ in range(4):
        await desk.send(DROP, "alert")
        clock.minutes(10)
    result = await desk.send(DROP, "alert")
    assert (result["count"], result["told"], len(ear.heard)) == (5, [], 1)


async def test_after_the_quiet_time_it_is_told_again_with_how_often_it_was_said(
    desk: Desk, ear: Ear, clock: Hands
) -> None:
    for minutes in (0, 59, 1):
        clock.minutes(minutes)
        await desk.send(DROP, "alert")
    assert [count for _, _, count in ear.heard] == [1, 3]
    assert len(set(ear.ids)) == 2


async def test_one_that_gets_worse_is_told_at_once_and_stays_as_bad_as_it_was(
    desk: Desk, store: Alerts, ear: Ear
) -> None:
    await desk.send(DROP, "alert")
    await desk.send({**DROP, "severity": "CRITICAL"}, "alert")
    await desk.send({**DROP, "severity": "LOW", "message": "Still so"}, "alert")
    assert [heard[0] for heard in ear.heard] == ["HIGH", "CRITICAL"]
    [alert] = await store.list("456")
    assert (alert.severity, alert.message, alert.count) == ("CRITICAL", "Still so", 3)


@pytest.mark.parametrize("change", [{"organizationId": "789"}, {"alertType": "SYNC_FAILED"}, {"key": "profit"}])
async def test_another_organization_type_or_key_is_another_alert(desk: Desk, ear: Ear, change: dict[str, str]) -> None:
    await desk.send(DROP, "alert")
    assert (await desk.send({**DROP, **change}, "alert"))["count"] == 1
    assert len(ear.heard) == 2


async def test_a_job_that_runs_again_neither_counts_nor_tells_again(desk: Desk, store: Alerts, ear: Ear) -> None:
    ctx = await desk.begin(DROP, "alert")
    await desk.run(ctx)
    again = await desk.run(await desk.recover(ctx))
    assert (again["count"], again["told"], len(ear.heard)) == (1, ["team"], 1)


async def test_a_job_that_runs_again_after_another_one_tells_what_it_was_to_tell(
    desk: Desk, store: Alerts, ear: Ear
) -> None:
    ear.trouble = ConnectionError("no line")
    ctx = await desk.begin(DROP, "alert")
    with pytest.raises(ConnectionError):
        await desk.run(ctx)
    ear.trouble = None
    await desk.send(DROP, "alert")
    assert ear.heard == []
    assert (await desk.run(await desk.retry(ctx)))["told"] == ["team"]
    assert len(ear.heard) == 1


async def test_alerts_that_are_raised_at_once_are_one(database: Database, store: Alerts) -> None:
    data = RaiseAlert.model_validate(DROP)
    raised = await asyncio.gather(*(store.record(data, job=str(number), quiet_ms=1_000) for number in range(8)))
    assert sum(one.tell for one in raised) == 1
    [alert] = await store.list("456")
    assert alert.count == 8


# -- routes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Ear:
    """A second way for alerts to go."""
    return Ear()


@pytest.fixture
def two(memory: Storage, database: Database, clock: Hands, ear: Ear, other: Ear) -> Desk:
    """A desk with two routes that are tried at once."""
    routes = [Route(name="first", tell=ear), Route(name="second", tell=other)]
    return Desk.of(memory, bundle(database=database, routes=routes, clock=clock))


async def test_a_route_that_fails_is_tried_again_and_the_others_are_not(two: Desk, ear: Ear, other: Ear) -> None:
    ear.trouble = ConnectionError("no line")
    ctx = await two.begin(DROP, "alert")
    with pytest.raises(ConnectionError):
        await two.run(ctx)
    assert len(other.heard) == 1
    ear.trouble = None
    assert (await two.run(await two.retry(ctx)))["told"] == ["first", "second"]
    assert (len(ear.heard), len(other.heard)) == (1, 1)


async def test_a_route_that_will_never_work_is_noted_and_the_alert_goes_the_others(
    two: Desk, ear: Ear, other: Ear, store: Alerts
) -> None:
    ear.trouble = RefusedError("no such channel")
    result = await two.send(DROP, "alert")
    assert result["told"] == ["second"]
    found = {one.route: (one.state, one.detail) for one in await store.deliveries(result["alertId"])}
    assert found == {"first": ("failed", "no such channel"), "second": ("sent", "")}


async def test_a_route_that_is_busy_says_when_to_come_again(two: Desk, ear: Ear) -> None:
    ear.trouble = BusyError("too many", after=33)
    with pytest.raises(Retry) as caught:
        await two.send(DROP, "alert")
    assert caught.value.after == 33


# -- taking care -------------------------------------------------------------------------------------------------------


CRITICAL = {**DROP, "severity": "CRITICAL"}


@pytest.mark.mission("M-BI-19")
async def test_a_critical_alert_that_nobody_takes_care_of_goes_further_up(desk: Desk, boss: Ear) -> None:
    result = await desk.send(CRITICAL, "alert")
    assert (result["told"], result["later"], boss.heard) == (["team"], ["boss"], [])
    look = {"alertId": result["alertId"], "route": "boss", "turn": 1}
    assert await desk.send(look, "escalate-alert") == {"told": True, "state": "open"}
    assert [heard[0] for heard in boss.heard] == ["CRITICAL"]


async def test_an_alert_that_somebody_takes_care_of_does_not(desk: Desk, store: Alerts, boss: Ear) -> None:
    result = await desk.send(CRITICAL, "alert")
    assert await store.acknowledge(result["alertId"], "ann")
    look = {"alertId": result["alertId"], "route": "boss", "turn": 1}
    assert await desk.send(look, "escalate-alert") == {"told": False, "state": "acknowledged"}
    assert boss.heard == []


async def test_who_took_care_hears_of_it_again_only_when_it_gets_worse(
    desk: Desk, store: Alerts, ear: Ear, clock: Hands
) -> None:
    result = await desk.send(DROP, "alert")
    await store.acknowledge(result["alertId"], "ann")
    clock.minutes(600)
    await desk.send(DROP, "alert")
    assert len(ear.heard) == 1
    await desk.send(CRITICAL, "alert")
    assert len(ear.heard) == 2
    [alert] = await store.list("456")
    assert (alert.state, alert.acknowledged_by) == ("open", "ann")


async def test_an_alert_that_ended_begins_anew(desk: Desk, store: Alerts, ear: Ear) -> None:
    first = await desk.send(DROP, "alert")
    end = {"organizationId": "456", "alertType": "DATA_ANOMALY"}
    assert await desk.send(end, "resolve-alert") == {"alertId": first["alertId"]}
    assert await desk.send(end, "resolve-alert") == {"alertId": None}
    second = await desk.send(DROP, "alert")
    assert (second["count"], second["alertId"] != first["alertId"], len(ear.heard)) == (1, True, 2)
    assert [one.id for one in await store.list("456", state="resolved")] == [first["alertId"]]


async def test_alerts_are_ended_by_their_id_too(desk: Desk, store: Alerts) -> None:
    result = await desk.send(DROP, "alert")
    ended = await store.resolve_id(result["alertId"])
    assert ended is not None
    assert ended.state == "resolved"
    assert await store.resolve_id(result["alertId"]) is None
    assert not await store.acknowledge(result["alertId"], "ann")


async def test_alerts_are_listed_by_how_bad_they_are(desk: Desk, store: Alerts) -> None:
    for severity in ("LOW", "HIGH", "CRITICAL"):
        await desk.send({**DROP, "severity": severity, "key": severity}, "alert")
    assert {one.key for one in await store.list("456", at_least=Severity.HIGH)} == {"HIGH", "CRITICAL"}


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_the_jobs_have_five_attempts() -> None:
    made = bundle(database=Database("sqlite:///app.db"))
    assert (made.queue, [one.name for one in made]) == ("alerts", [*ALERT_JOBS, "resolve-alert", "escalate-alert"])
    assert {(one.handler.options.attempts, one.handler.options.backoff) for one in made} == {(5, Exponential(2))}


@pytest.mark.mission("M-BI-19")
def test_a_payload_is_refused_with_every_complaint() -> None:
    queue = Corral("sqlite:///:memory:").include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError) as caught:
        queue.definition("alert").new({"organizationId": "o", "severity": "TERRIBLE", "message": " ", "metadata": []})
    assert [error.partition(":")[0] for error in caught.value.errors] == [
        "alertType", "severity", "message", "metadata",
    ]  # fmt: skip


def test_routes_have_names_of_their_own() -> None:
    route = Route(name="team", tell=Ear())
    with pytest.raises(ConfigError, match="a name of its own"):
        bundle(database=Database("sqlite:///app.db"), routes=[route, route])


@pytest.mark.parametrize(
    ("name", "value"),
    [("alerts_mail_to", "ops"), ("alerts_mail_from", "BAD"), ("alerts_escalate_to", "a@b\r\nBcc: c@d")],
)
def test_settings_that_cannot_be_meant_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        AlertSettings.load(**{name: value})


# -- failed jobs -------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-46")
async def test_administrators_hear_of_jobs_that_failed_for_good(database: Database, store: Alerts, ear: Ear) -> None:
    app = Corral("sqlite:///:memory:")
    app.include(bundle(database=database, routes=[Route(name="team", tell=ear)]))
    sync = app.queue("data-sync")

    @sync.job("sync", attempts=2, backoff=1)
    async def fail(number: int) -> None:
        raise ValueError(f"no {number}")

    alert_on_failure(app, "456")
    async with app_in_memory(app):
        await fail.add(1, priority=1)
        await fail.add(2)
        await drain(app)
        await drain(app)
    [alert] = await store.list("456")
    assert (alert.type, alert.key, alert.severity, alert.count) == ("JOB_FAILED", "data-sync/sync", "CRITICAL", 2)
    assert "Job sync of queue data-sync failed: " in alert.message
    assert (alert.metadata["queue"], alert.metadata["name"]) == ("data-sync", "sync")
    told = [(severity, message) for severity, message, _ in ear.heard]
    assert ("CRITICAL", "Job sync of queue data-sync failed: ValueError: no 1") in told


async def test_a_job_that_somebody_cancelled_has_not_failed(database: Database, store: Alerts) -> None:
    app = Corral("sqlite:///:memory:")
    app.include(bundle(database=database))
    began = asyncio.Event()

    @app.queue("watched").job("endless")
    async def endless() -> None:
        began.set()
        await asyncio.Event().wait()

    alert_on_failure(app, "456")
    async with app_in_memory(app):
        async with await app.worker(queues={"watched": 1}):
            handle = await endless.add()
            await asyncio.wait_for(began.wait(), 30)
            await handle.cancel(reason="not needed any more")
            with pytest.raises(JobFailedError, match="not needed any more"):
                await handle.result(timeout=30)
        assert [job.queue for job in await added(app)] == ["watched"]


async def test_failures_that_are_not_worth_a_word_are_left_out(database: Database) -> None:
    app = Corral("sqlite:///:memory:")
    app.include(bundle(database=database))

    @app.queue("watched").job("fail", attempts=1)
    async def watched() -> None:
        raise ValueError("x")

    @app.queue("other").job("fail", attempts=1)
    async def other() -> None:
        raise ValueError("x")

    alert_on_failure(app, "456", watch=["watched"], severity=lambda job: None)
    async with app_in_memory(app):
        await watched.add()
        await other.add()
        await drain(app)
        assert [job.name for job in await added(app)] == ["fail", "fail"]
