"""The health job: one answer for everything, and alerts for what is news."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.errors import ConfigError, PayloadError
from corral.handlers.email import preview
from corral.handlers.health import (
    JOBS,
    SCHEMA,
    Change,
    DiskCheck,
    Found,
    FunctionCheck,
    Health,
    HealthSettings,
    States,
    bundle,
)
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import Mail
from corral.signals import Discard
from corral.testing import Recorded, app_in_memory, run_job
from tests.handlers.databases import differences, opened_at_once

HOUR = 3_600_000


class Sea:
    """Something to look at that changes."""

    def __init__(self) -> None:
        self.found: Found | Exception = Found("ok", "calm")

    async def look(self) -> Found:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Ear:
    """Who is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []
        self.ids: list[str] = []

    async def __call__(self, id: str, change: Change) -> None:
        self.ids.append(id)
        self.heard.append((change.name, change.kind, change.text))


async def check(job: JobDefinition[object, Health], data: object = None, **more: object) -> Health:
    return await run_job(job, {} if data is None else data, **more)  # type: ignore[arg-type]  # what a test varies


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["health_0001"] * 4


def answering(name: str, answer: Callable[[], Awaitable[Found]]) -> FunctionCheck:
    return FunctionCheck(name, answer)


@pytest.mark.mission("M-GL-66")
async def test_the_whole_is_as_well_as_the_worst_of_its_parts() -> None:
    seas = [Sea(), Sea(), Sea()]
    [job] = bundle(checks=[FunctionCheck(f"sea {n}", sea.look) for n, sea in enumerate(seas)])
    statuses = []
    for sea, found in zip(seas, [Found("ok"), Found("warn", "waves"), Found("fail", "storm")], strict=True):
        sea.found = found
        statuses.append((await check(job))["status"])
    assert statuses == ["healthy", "degraded", "unhealthy"]
    result = await check(job)
    assert [(one["name"], one["status"], one["text"]) for one in result["checks"]] == [
        ("sea 0", "ok", ""), ("sea 1", "warn", "waves"), ("sea 2", "fail", "storm")
    ]  # fmt: skip


async def test_what_a_check_raises_is_trouble_and_the_others_are_looked_at_all_the_same() -> None:
    bad, well = Sea(), Sea()
    bad.found = ZeroDivisionError("division by zero")
    recorded = Recorded()
    [job] = bundle(checks=[FunctionCheck("bad", bad.look), FunctionCheck("well", well.look)])
    result = await check(job, recorded=recorded)
    assert [(one["status"], one["text"]) for one in result["checks"]] == [
        ("fail", "ZeroDivisionError: division by zero"), ("ok", "calm")
    ]  # fmt: skip
    assert recorded.logs == ["bad: fail, ZeroDivisionError: division by zero"]


async def test_a_check_that_does_not_answer_is_trouble() -> None:
    async def never() -> Found:
        await asyncio.Event().wait()
        return Found("ok")

    [job] = bundle(HealthSettings.load(health_timeout=0.05), checks=[FunctionCheck("silent", never)])
    [look] = (await check(job))["checks"]
    assert (look["status"], look["text"]) == ("fail", "no answer within 0.05 s")


async def test_checks_can_be_chosen_by_name() -> None:
    [job] = bundle(checks=[FunctionCheck("a", Sea().look), FunctionCheck("b", Sea().look)])
    assert [one["name"] for one in (await check(job, {"only": ["b"]}))["checks"]] == ["b"]
    with pytest.raises(Discard, match="no health check is called c; there are a, b"):
        await check(job, {"only": ["c"]})


async def test_nothing_to_look_at_fails_and_says_what_to_set() -> None:
    [job] = bundle()
    with pytest.raises(Discard, match="set HEALTH_URLS or HEALTH_DISKS"):
        await check(job)


# -- alerts ------------------------------------------------------------------------------------------------------------


async def test_only_news_is_told(app_database: str) -> None:
    sea, ear, clock = Sea(), Ear(), [1_000 * HOUR]
    database = Database(app_database)
    [job] = bundle(
        checks=[FunctionCheck("sea", sea.look)], database=database, alert=ear, clock=lambda: clock[0]
    )  # fmt: skip
    told = []
    async with database:
        for hour, found in enumerate(
            [Found("ok"), Found("fail", "storm"), Found("fail", "storm"), Found("warn", "waves"), Found("ok", "calm"),
             Found("ok"), Found("fail", "once"), Found("ok")]
        ):  # fmt: skip
            clock[0] += HOUR
            sea.found = found
            told.append((await check(job, id=str(hour)))["told"])
    # The first bad look may be a hiccup; the second is news, the third is known; then it is over; a hiccup is nothing.
    assert ear.heard == [("sea", "trouble", "storm"), ("sea", "over", "calm")]
    assert told == [[], [], ["sea"], [], ["sea"], [], [], []]


async def test_what_stays_bad_is_told_again_after_a_day(app_database: str) -> None:
    sea, ear, clock = Sea(), Ear(), [1_000 * HOUR]
    sea.found = Found("fail", "storm")
    database = Database(app_database)
    [job] = bundle(
        HealthSettings.load(health_after=1), checks=[FunctionCheck("sea", sea.look)], database=database, alert=ear,
        clock=lambda: clock[0],
    )  # fmt: skip
    async with database:
        for hour in range(50):
            clock[0] += HOUR
            await check(job, id=str(hour))
        [state] = await States(database, after=1, remind_ms=1, clock=lambda: clock[0]).all()
    assert [kind for _, kind, _ in ear.heard] == ["trouble", "still", "still"]
    assert (state.bad, clock[0] - state.since) == (50, 49 * HOUR)


async def test_a_job_that_runs_again_is_not_a_second_look(app_database: str) -> None:
    sea, ear = Sea(), Ear()
    sea.found = Found("fail", "storm")
    database = Database(app_database)
    [job] = bundle(checks=[FunctionCheck("sea", sea.look)], database=database, alert=ear)
    recorded = Recorded()
    async with database:
        for attempt in (1, 2):
            await check(job, id="1", attempt=attempt, recorded=recorded)
        assert ear.heard == []
        await check(job, id="2")
    assert ear.heard == [("sea", "trouble", "storm")]


async def test_an_alert_that_could_not_be_sent_goes_out_with_the_next_attempt_under_the_same_id(
    app_database: str,
) -> None:
    sea, ids = Sea(), []
    sea.found = Found("fail", "storm")
    database = Database(app_database)

    async def alert(id: str, change: Change) -> None:
        ids.append(id)
        if len(ids) == 1:
            raise ConnectionError("nobody answers")

    [job] = bundle(
        HealthSettings.load(health_after=1), checks=[FunctionCheck("sea", sea.look)], database=database, alert=alert
    )
    recorded = Recorded()
    async with database:
        with pytest.raises(ConnectionError):
            await check(job, recorded=recorded)
        assert (await check(job, recorded=recorded, attempt=2))["told"] == ["sea"]
        assert (await check(job, id="2"))["told"] == []
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_a_database_that_is_away_is_told_all_the_same(tmp_path: Path) -> None:
    sea, ear = Sea(), Ear()
    sea.found = Found("fail", "storm")
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    [job] = bundle(checks=[FunctionCheck("sea", sea.look)], database=database, alert=ear)
    async with database:
        (tmp_path / "app.db").unlink()
        (tmp_path / "app.db").mkdir()
        result = await check(job)
    assert (result["told"], ear.heard) == (["sea"], [("sea", "trouble", "storm")])


async def test_without_a_database_every_bad_look_is_told() -> None:
    sea, ear = Sea(), Ear()
    sea.found = Found("warn", "waves")
    [job] = bundle(checks=[FunctionCheck("sea", sea.look)], alert=ear)
    assert (await check(job))["told"] == ["sea"]
    assert (await check(job, id="2"))["told"] == ["sea"]
    assert len(set(ear.ids)) == 2


async def test_alerts_may_be_mails(app_database: str) -> None:
    sea, mails, database = Sea(), [], Database(app_database)
    sea.found = Found("fail", "storm\nfrom the west")

    async def send(id: str, mail: Mail) -> None:
        mails.append((id, mail))

    [job] = bundle(
        HealthSettings.load(health_alert_to="ops@example.org, ann@example.org", health_after=1), send=send,
        checks=[FunctionCheck("the\nsea", sea.look)], database=database, clock=lambda: HOUR,
    )  # fmt: skip
    async with database:
        await check(job)
    [(id, mail)] = mails
    assert ":" not in id
    assert (mail.to, mail.template) == (("ops@example.org", "ann@example.org"), "alert")
    assert mail.subject == "Health: the sea is in trouble"
    assert mail.data["severity"] == "critical"
    _, text = preview(mail.template, dict(mail.data))
    assert "the\nsea is in trouble" in text
    assert "from the west" in text
    assert mail.data["metadata"] == {"since": "1970-01-01 01:00:00 UTC", "status": "fail"}


def test_addresses_for_alerts_without_a_way_to_send_mail_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"HEALTH_ALERT_TO needs a way to send mail: bundle\(send=…\)"):
        bundle(HealthSettings.load(health_alert_to="ops@example.org"))


# -- settings ----------------------------------------------------------------------------------------------------------


def test_addresses_and_disks_come_from_the_settings() -> None:
    settings = HealthSettings.load(health_urls="https://example.org/, https://example.com/x", health_disks="/, /tmp")
    assert settings.urls == ("https://example.org/", "https://example.com/x")
    assert [str(disk) for disk in settings.disks] == ["/", "/tmp"]
    made = bundle(settings)
    assert (made.queue, [job.name for job in made]) == ("health", list(JOBS))


def test_two_checks_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two health checks are called 'disk /tmp'"):
        bundle(HealthSettings.load(health_disks="/tmp"), checks=[DiskCheck("/tmp")])


async def test_a_payload_cannot_say_what_to_look_at() -> None:
    app = Corral("sqlite:///:memory:")
    app.include(bundle(checks=[DiskCheck("/tmp")]))
    async with app_in_memory(app):
        for data in ({"url": "http://169.254.169.254/"}, {"only": [""]}, {"only": "disk"}):
            with pytest.raises(PayloadError):
                await app.definition("health", "health-check").add(data)
        await app.definition("health", "health-check").add({})
