"""What comes again: one schedule for each integration, by its platform and its organization's plan."""

from datetime import UTC, datetime

import pytest

from corral import ConfigError, JobState, PayloadError, Storage
from corral.testing import FakeClock, drain, fire_schedules
from corral.testing.app import lent
from examples.bizinsights.build import Platform
from examples.bizinsights.organizations import Organization, PlanName
from examples.bizinsights.payloads import QueueName
from examples.bizinsights.schedules import cron_for, minute_of
from examples.bizinsights.seed import INTEGRATIONS, seed

from .conftest import Maker, until

WEEKLY = {
    "reportId": "recurring", "organizationId": "org123", "reportType": "weekly", "period": "7d",
    "recipientEmails": ["team@company.com"],
}  # fmt: skip


async def crons(platform: Platform, queue: QueueName) -> dict[str, str]:
    """Cron lines by key, in the store."""
    found = (await (await platform.app.open()).schedules(queue=queue, limit=100)).items
    return {one.key: one.timing.expression for one in found}  # type: ignore[union-attr]  # all of them are cron lines


@pytest.mark.mission("M-BI-04", "M-BI-14", "M-BI-15", "M-BI-53")
async def test_each_integration_has_a_schedule_of_its_own(platform: Platform) -> None:
    await seed(platform)

    assert await platform.job_scheduler.initialize() == 8

    found = await crons(platform, QueueName.DATA_SYNC)
    assert found == {
        "sync-acme-shopify": f"{minute_of('acme-shopify')} */2 * * *",
        "sync-acme-stripe": f"{minute_of('acme-stripe')} */3 * * *",
        "sync-acme-analytics": f"{minute_of('acme-analytics')} */4 * * *",
        "sync-acme-ads": f"{minute_of('acme-ads')} 6 * * *",
        "sync-nordic-shop": f"{minute_of('nordic-shop')} * * * *",
        "sync-nordic-analytics": f"{minute_of('nordic-analytics')} */2 * * *",
    }
    insights = await crons(platform, QueueName.INSIGHTS_GENERATION)
    assert insights == {"insights-org-acme": "0 */6 * * *", "insights-org-nordic": "0 */6 * * *"}


@pytest.mark.mission("M-BI-14")
@pytest.mark.parametrize(
    ("name", "hours"),
    [("shopify", "*/2"), ("woocommerce", "*/2"), ("stripe", "*/3"), ("google-analytics", "*/4"), ("facebook-ads", "6")],
)
def test_platforms_are_asked_as_often_as_they_should_be(name: str, hours: str) -> None:
    assert cron_for("i", name, "growth") == f"{minute_of('i')} {hours} * * *"


@pytest.mark.mission("M-BI-47")
@pytest.mark.parametrize(("plan", "hours"), [("starter", "*/4"), ("growth", "*/2"), ("enterprise", "*")])
async def test_a_better_plan_is_synced_more_often(platform: Platform, plan: PlanName, hours: str) -> None:
    await platform.organizations.save(Organization("o", "O", plan))
    shop = await platform.integrations.save("shop", organization_id="o", platform="shopify")

    assert await platform.job_scheduler.schedule_integration(shop) == f"{minute_of('shop')} {hours} * * *"


@pytest.mark.mission("M-BI-47")
async def test_a_changed_plan_changes_the_schedule_and_makes_no_second_one(platform: Platform) -> None:
    await platform.organizations.save(Organization("o", "O", "starter"))
    await platform.integrations.save("shop", organization_id="o", platform="shopify")
    await platform.job_scheduler.initialize()
    await platform.organizations.save(Organization("o", "O", "enterprise"))
    await platform.job_scheduler.initialize()

    assert await crons(platform, QueueName.DATA_SYNC) == {"sync-shop": f"{minute_of('shop')} * * * *"}


@pytest.mark.mission("M-BI-04")
async def test_integrations_that_are_gone_or_paused_are_synced_no_more(platform: Platform) -> None:
    await seed(platform)
    await platform.job_scheduler.initialize()
    await platform.integrations.delete("acme-ads")
    await platform.integrations.pause("acme-stripe")

    await platform.job_scheduler.initialize()

    left = {f"sync-{id}" for id, _, _ in INTEGRATIONS} - {"sync-acme-ads", "sync-acme-stripe"}
    assert set(await crons(platform, QueueName.DATA_SYNC)) == left
    assert await platform.job_scheduler.unschedule_integration("acme-shopify") is True
    assert await platform.job_scheduler.unschedule_integration("acme-shopify") is False


@pytest.mark.mission("M-BI-04", "M-BI-53")
async def test_a_worker_sets_the_schedules_up_when_it_starts(platform: Platform) -> None:
    await seed(platform)
    async with await platform.app.worker():
        assert len(await crons(platform, QueueName.DATA_SYNC)) == 6
        assert len(await crons(platform, QueueName.INSIGHTS_GENERATION)) == 2
        assert await crons(platform, QueueName.ALERTS) == {"watch-integrations": "30 * * * *"}


@pytest.mark.mission("M-BI-21")
async def test_a_sync_now_goes_first_and_moves_no_schedule(platform: Platform) -> None:
    await seed(platform)
    await platform.job_scheduler.initialize()
    before = await crons(platform, QueueName.DATA_SYNC)

    handle = await platform.job_scheduler.schedule_immediate_sync("acme-shopify")

    job = await handle.get()
    assert (job.state, job.priority, job.group) == (JobState.WAITING, 1, "acme-shopify")
    assert '"syncType":"incremental"' in job.data
    assert await crons(platform, QueueName.DATA_SYNC) == before


@pytest.mark.mission("M-BI-22")
async def test_insights_now_are_looked_for_again(platform: Platform) -> None:
    handle = await platform.job_scheduler.schedule_immediate_insights("org-acme", "30d")

    assert '"period":"30d","forceRegenerate":true' in (await handle.get()).data


@pytest.mark.mission("M-BI-24", "M-BI-31")
async def test_the_same_key_changes_a_recurring_job(platform: Platform) -> None:
    service, key = platform.queue_service, "weekly-report-org123"
    first = await service.add_recurring_job(QueueName.REPORT_GENERATION, key, WEEKLY, "0 8 * * 1")
    await service.add_recurring_job(QueueName.REPORT_GENERATION, key, WEEKLY, "0 9 * * 1", tz="Europe/Oslo")

    assert first.name == "report-generation"
    assert await crons(platform, QueueName.REPORT_GENERATION) == {key: "0 9 * * 1"}
    assert await service.remove_recurring_job(QueueName.REPORT_GENERATION, key) is True
    assert await crons(platform, QueueName.REPORT_GENERATION) == {}


@pytest.mark.mission("M-BI-24")
async def test_a_report_can_be_had_every_monday(platform: Platform) -> None:
    await platform.job_scheduler.schedule_report("org-acme", ["team@company.com"])
    await platform.job_scheduler.schedule_report("org-acme", ["team@company.com"], kind="monthly", cron="0 8 1 * *")

    found = await crons(platform, QueueName.REPORT_GENERATION)
    assert found == {"weekly-report-org-acme": "0 8 * * 1", "monthly-report-org-acme": "0 8 1 * *"}


@pytest.mark.mission("M-BI-24")
async def test_a_recurring_job_that_cannot_be_meant_is_refused(platform: Platform) -> None:
    with pytest.raises(PayloadError, match="reportType"):
        await platform.queue_service.add_recurring_job(
            QueueName.REPORT_GENERATION, "k", {**WEEKLY, "reportType": "x"}, "0 8 * * 1"
        )
    with pytest.raises(ConfigError):
        await platform.queue_service.add_recurring_job(QueueName.REPORT_GENERATION, "k", WEEKLY, "every monday")


@pytest.mark.mission("M-BI-01")
async def test_the_cache_keeps_values_for_their_time(platform: Platform) -> None:
    made = 0

    async def make() -> object:
        nonlocal made
        made += 1
        return {"made": made}

    assert await platform.cache.get("stats") is None
    assert await platform.cache.remembered("stats", 60, make) == {"made": 1}
    assert await platform.cache.remembered("stats", 60, make) == {"made": 1}
    await platform.cache.set("stats", [1, "ä"], 60)
    assert await platform.cache.get("stats") == [1, "ä"]
    await platform.cache.delete("stats")
    assert await platform.cache.remembered("stats", 60, make) == {"made": 2}


@pytest.mark.mission("M-BI-01")
async def test_a_value_whose_time_is_over_is_made_anew(platform: Platform) -> None:
    async def gone() -> bool:
        return await platform.cache.get("short") is None

    await platform.cache.set("short", "old", 0.05)
    await platform.cache.set("long", "kept", 60)
    await until(gone)

    async def make() -> object:
        return "new"

    assert await platform.cache.remembered("short", 60, make) == "new"
    assert await platform.cache.get("long") == "kept"


@pytest.mark.mission("M-BI-01")
async def test_jobs_and_cache_share_one_connection(maker: Maker) -> None:
    made = maker()
    stores: list[Storage] = []

    def note(storage: Storage) -> Storage:
        stores.append(storage)
        return storage

    made.app.dress(note)
    async with made.opened():
        await made.cache.set("x", 1, 60)
        assert await made.cache.get("x") == 1
        await made.queue_service.get_all_queue_stats()
        await made.queue_service.add_job(QueueName.REPORT_GENERATION, WEEKLY)
    assert len({id(storage) for storage in stores}) == 1


@pytest.mark.mission("M-BI-15", "M-BI-53")
async def test_insights_come_by_themselves_every_six_hours(platform_url: str, maker: Maker) -> None:
    made, clock = maker(), FakeClock(datetime.now(UTC))
    async with lent(made.app, platform_url, clock), made.opened():
        await seed(made)
        await made.job_scheduler.initialize()
        fired: list[str | None] = []
        for _ in range(4):
            clock.advance(6 * 3_600)
            fired += [job.schedule for job in await fire_schedules(made.app) if job.queue == "insights-generation"]
        assert fired.count("insights-org-acme") == 4
        for queue in (QueueName.DATA_SYNC, QueueName.REPORT_GENERATION, QueueName.ALERTS):
            await made.queue_service.empty_queue(queue)
        assert await made.insights.latest("org-acme", "30d") is None
        await drain(made.app)
        found = await made.insights.latest("org-acme", "30d")
    assert found is not None
    assert found.findings
