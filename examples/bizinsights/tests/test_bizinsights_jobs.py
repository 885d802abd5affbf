"""The six queues: how they are run, what their jobs may carry, and what becomes of them."""

import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from corral import Corral, CorralError, Cron, Exponential, JobState, Keep, PayloadError
from corral.admin.admin import Admin
from corral.alerts.settings import alert_settings
from corral.alerts.watch import Watch
from corral.handlers.alerts import Alerts
from corral.handlers.sync import PLATFORMS, SyncSettings
from corral.monitor.monitor import Monitor
from corral.testing import FakeClock
from examples.bizinsights import processors
from examples.bizinsights.build import Platform
from examples.bizinsights.organizations import Organization
from examples.bizinsights.payloads import QueueName
from examples.bizinsights.queues import PLANS
from examples.bizinsights.seed import seed
from tests.handlers.sync.fakes import FakeShopify, FakeStripe, answer

from .conftest import Maker, until

SYNC = {"integrationId": "123", "organizationId": "456", "platform": "shopify", "syncType": "incremental"}
#: The examples of each queue, as callers write them.
EXAMPLES: dict[QueueName, dict[str, object]] = {
    QueueName.DATA_SYNC: {**SYNC, "startDate": "2026-01-01", "endDate": "2026-01-31"},
    QueueName.INSIGHTS_GENERATION: {"organizationId": "456", "period": "30d", "forceRegenerate": True},
    QueueName.WEBHOOK_PROCESSING: {
        "platform": "shopify", "eventType": "orders/create", "payload": {"id": 1}, "signature": "hmac-signature",
        "integrationId": "123",
    },
    QueueName.REPORT_GENERATION: {
        "reportId": "report-123", "organizationId": "456", "reportType": "weekly", "period": "7d",
        "recipientEmails": ["user@example.com"],
    },
    QueueName.EMAIL_SENDING: {
        "to": "user@example.com", "subject": "Welcome to BizInsights", "template": "welcome",
        "data": {"name": "John Doe"}, "organizationId": "456",
    },
    QueueName.ALERTS: {
        "organizationId": "456", "alertType": "DATA_ANOMALY", "severity": "HIGH",
        "message": "Revenue dropped 50% from yesterday", "metadata": {"metric": "revenue", "change": -50},
    },
}  # fmt: skip


async def ended(app: Corral, queue: QueueName) -> None:
    """Wait until nothing of a queue waits or runs any more."""
    live = await app.open_queue(queue)

    async def idle() -> bool:
        counts = await live.counts()
        return counts.waiting + counts.active + counts.delayed == 0

    await until(idle)


async def alert_types(platform: Platform, organization: str) -> list[str]:
    """The kinds of an organization's alerts."""
    return [one.type for one in await Alerts(platform.database).list(organization)]


# -- how queues are run -----------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-03")
def test_each_queue_has_a_processor_in_a_module_of_its_own() -> None:
    assert processors.__file__ is not None
    modules = {path.stem for path in Path(processors.__file__).parent.glob("*.py")} - {"__init__"}

    assert modules == {"data_sync", "insights_generation", "webhook", "report", "email", "alert"}


@pytest.mark.mission("M-BI-42", "M-BI-43", "M-BI-32", "M-BI-33")
async def test_queues_are_run_by_their_table(platform: Platform) -> None:
    seconds = {name.value: plan.timeout for name, plan in PLANS.items()}
    assert seconds == {
        "data-sync": 300, "insights-generation": 180, "webhook-processing": 30, "report-generation": 300,
        "email-sending": 10, "alerts": 30,
    }  # fmt: skip
    for name, plan in PLANS.items():
        queue = platform.app.queues[name]
        heavy = name in (QueueName.DATA_SYNC, QueueName.INSIGHTS_GENERATION, QueueName.REPORT_GENERATION)
        assert queue.concurrency == plan.concurrency
        assert plan.concurrency in (range(1, 3) if heavy else range(5, 11))
        for definition in queue.definitions.values():
            options = definition.handler.options
            assert options.timeout_ms == 1000 * plan.timeout
            assert (options.attempts, options.backoff) == (3, Exponential(2))
            assert (options.keep_completed, options.keep_failed) == (Keep(age=86_400), Keep(age=7 * 86_400))


@pytest.mark.mission("M-BI-05", "M-BI-07", "M-BI-51", "M-BI-12", "M-BI-15", "M-BI-16", "M-BI-17", "M-BI-18", "M-BI-19")
async def test_one_worker_serves_all_queues_and_ends_gracefully(platform: Platform) -> None:
    await platform.organizations.save(Organization("456", "Four Five Six"))
    handles = {name: await platform.queue_service.add_job(name, data) for name, data in EXAMPLES.items()}
    stats = await platform.queue_service.get_all_queue_stats()
    assert {name: counts["waiting"] for name, counts in stats.items()} == dict.fromkeys(map(str, QueueName), 1)

    async with await platform.app.worker():
        for name in EXAMPLES:
            await ended(platform.app, name)

    states = {name: (await handle.get()).state for name, handle in handles.items()}
    assert states.pop(QueueName.DATA_SYNC) is JobState.FAILED  # nobody has given it the keys of a shop
    assert set(states.values()) == {JobState.COMPLETED}


@pytest.mark.mission("M-BI-20")
@pytest.mark.parametrize("queue", QueueName)
async def test_a_job_without_a_name_gets_that_of_its_queue(platform: Platform, queue: QueueName) -> None:
    handle = await platform.queue_service.add_job(queue, EXAMPLES[queue])

    assert (await handle.get()).name == queue
    assert "__default__" in platform.app.queues[queue].definitions  # what Bull calls it


@pytest.mark.mission("M-BI-12", "M-BI-13")
@pytest.mark.parametrize("name", PLATFORMS)
async def test_every_platform_can_be_synced(platform: Platform, name: str) -> None:
    handle = await platform.queue_service.add_job(QueueName.DATA_SYNC, {**SYNC, "platform": name})

    assert (await handle.get()).group == "123"


@pytest.mark.mission("M-BI-12", "M-BI-15", "M-BI-17", "M-BI-18", "M-BI-19")
@pytest.mark.parametrize(
    ("queue", "wrong"),
    [
        (QueueName.DATA_SYNC, {**SYNC, "platform": "magento"}),
        (QueueName.DATA_SYNC, {**SYNC, "syncType": "some"}),
        (QueueName.INSIGHTS_GENERATION, {"organizationId": "456", "period": "2y"}),
        (QueueName.WEBHOOK_PROCESSING, {"platform": "shopify", "payload": {}}),
        (
            QueueName.REPORT_GENERATION,
            {"reportId": "r", "organizationId": "456", "reportType": "daily", "period": "1d"},
        ),
        (QueueName.EMAIL_SENDING, {"to": "nobody", "subject": "x", "template": "welcome"}),
        (QueueName.EMAIL_SENDING, {"to": "a@example.com", "subject": "x", "template": "welcom"}),
        (QueueName.ALERTS, {"organizationId": "4", "alertType": "X", "severity": "BAD", "message": "x"}),
    ],
)
async def test_what_cannot_be_meant_is_refused_when_it_is_added(
    platform: Platform, queue: QueueName, wrong: dict[str, object]
) -> None:
    with pytest.raises(PayloadError):
        await platform.queue_service.add_job(queue, wrong)
    assert (await platform.queue_service.get_queue_stats(queue))["waiting"] == 0


# -- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-12", "M-BI-48")
async def test_a_shop_is_synced_and_its_quota_known(maker: Maker, httpserver: HTTPServer) -> None:
    shop = FakeShopify(httpserver)
    shop.order(1, 1_772_452_800_000, "25.00")
    made = maker(sync_settings=_keys(shop))
    async with made.opened(), await made.app.worker():
        handle = await made.queue_service.add_job(QueueName.DATA_SYNC, SYNC)
        done = await handle.result(timeout=60)

        assert isinstance(done, dict)
        assert done["fetched"] == {"orders": 1, "products": 0, "customers": 0}
        integration = await made.integrations.get("123")
        assert integration.status == "active"
        assert integration.quota is not None
        assert (integration.quota.limit, integration.calls_today) == (1000, 3)


@pytest.mark.mission("M-BI-48")
async def test_a_quota_that_runs_out_is_an_alert(maker: Maker, httpserver: HTTPServer) -> None:
    shop = FakeShopify(httpserver)
    made = maker(sync_settings=_keys(shop))
    async with made.opened(), await made.app.worker():
        shop.troubles = [shop.throttled(left=10)]
        await made.queue_service.add_job(QueueName.DATA_SYNC, SYNC)

        async def known() -> bool:
            found = await made.integrations.find("123")
            return found is not None and found.quota is not None

        await until(known)
        watch = await made.app.definition(QueueName.ALERTS, "watch-integrations").add()

        assert await watch.result(timeout=60) == {"integrations": 1, "low": ["123"]}
        await ended(made.app, QueueName.ALERTS)
        assert await alert_types(made, "456") == ["API_QUOTA_LOW"]


@pytest.mark.mission("M-BI-48")
async def test_one_platform_that_wants_a_rest_stops_no_other(maker: Maker, httpserver: HTTPServer) -> None:
    shop, stripe = FakeShopify(httpserver), FakeStripe(httpserver)
    shop.troubles = [answer({}, 429, Retry_After="3000")]
    keys = _keys(shop, stripe_api_key=stripe.key, stripe_url=stripe.url)
    made = maker(sync_settings=keys)
    async with made.opened(), await made.app.worker():
        first = await made.queue_service.add_job(QueueName.DATA_SYNC, SYNC)
        live = await made.app.open_queue(QueueName.DATA_SYNC)

        async def rests() -> bool:
            return (await live.group("123").info()).held_until is not None

        await until(rests)
        other = {**SYNC, "integrationId": "9", "platform": "stripe"}
        await (await made.queue_service.add_job(QueueName.DATA_SYNC, other)).result(timeout=60)

        assert (await first.get()).state is JobState.WAITING


@pytest.mark.mission("M-BI-45", "M-BI-46")
async def test_refused_keys_are_noted_and_the_administrators_told(
    maker: Maker, httpserver: HTTPServer, mails: Callable[[], list[str]]
) -> None:
    shop = FakeShopify(httpserver)
    shop.troubles = [answer({"errors": "[API] Invalid API key"}, 401)]
    made = maker(sync_settings=_keys(shop))
    async with made.opened(), await made.app.worker():
        await made.organizations.save(Organization("456", "Four", admins=("boss@example.com",)))
        handle = await made.queue_service.add_job(QueueName.DATA_SYNC, SYNC)
        with pytest.raises(CorralError, match="Shopify answered 401"):
            await handle.result(timeout=60)
        await ended(made.app, QueueName.ALERTS)
        await ended(made.app, QueueName.EMAIL_SENDING)

        integration = await made.integrations.get("123")
        assert (integration.status, integration.failures) == ("error", 1)
    (mail,) = [email.message_from_string(text, policy=email.policy.default) for text in mails()]
    assert mail["To"] == "boss@example.com"
    assert mail["Subject"] == "HIGH: Integration error"


def _keys(shop: FakeShopify, **more: object) -> SyncSettings:
    return SyncSettings.load(
        shopify_shop="acme.myshopify.com", shopify_access_token=shop.token, shopify_url=shop.url, **more
    )


# -- insights, reports, mails, alerts ---------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-15", "M-BI-22", "M-BI-53")
async def test_a_bad_sunday_is_found_and_told(platform: Platform, mails: Callable[[], list[str]]) -> None:
    await seed(platform)
    async with await platform.app.worker():
        handle = await platform.job_scheduler.schedule_immediate_insights("org-acme", "30d")
        done = await handle.result(timeout=60)
        await ended(platform.app, QueueName.ALERTS)
        await ended(platform.app, QueueName.EMAIL_SENDING)

    assert isinstance(done, dict)
    assert {one["kind"] for one in done["findings"]} >= {"anomaly"}
    found = await platform.insights.latest("org-acme", "30d")
    assert found is not None
    assert found.summary == done["summary"]
    assert "DATA_ANOMALY" in await alert_types(platform, "org-acme")
    assert any("owner@acme.example" in text for text in mails())


@pytest.mark.mission("M-BI-17", "M-BI-18")
@pytest.mark.parametrize("kind", ["weekly", "monthly", "quarterly"])
async def test_a_report_is_made_and_mailed(platform: Platform, mails: Callable[[], list[str]], kind: str) -> None:
    await seed(platform)
    async with await platform.app.worker():
        handle = await platform.queue_service.add_job(
            QueueName.REPORT_GENERATION,
            {
                "reportId": f"report-{kind}", "organizationId": "org-acme", "reportType": kind, "period": "7d",
                "recipientEmails": ["team@company.com"], "formats": ["html", "csv"],
            },
        )  # fmt: skip
        done = await handle.result(timeout=60)
        await ended(platform.app, QueueName.EMAIL_SENDING)

        assert isinstance(done, dict)
        assert [one["format"] for one in done["documents"]] == ["html", "csv"]
    (mail,) = [email.message_from_string(text, policy=email.policy.default) for text in mails()]
    assert mail["To"] == "team@company.com"
    assert "Acme Outdoor" in str(mail["Subject"]) + mail.as_string()


@pytest.mark.mission("M-BI-18", "M-BI-09")
@pytest.mark.parametrize(
    ("template", "data"),
    [
        ("welcome", {"name": "John Doe"}),
        ("report-delivery", {"title": "Weekly report", "reportUrl": "https://biz.example/r/1"}),
        ("team-invitation", {"organizationName": "Acme", "inviteUrl": "https://biz.example/i/1"}),
        ("alert-notification", {"message": "Revenue dropped", "severity": "HIGH"}),
    ],
)
async def test_the_four_mails_are_sent(
    platform: Platform, mails: Callable[[], list[str]], template: str, data: dict[str, object]
) -> None:
    async with await platform.app.worker():
        handle = await platform.queue_service.add_job(
            QueueName.EMAIL_SENDING,
            {"to": ["a@example.com", "b@example.com"], "subject": "Hello", "template": template, "data": data},
        )
        await handle.result(timeout=60)

    (mail,) = [email.message_from_string(text, policy=email.policy.default) for text in mails()]
    assert (mail["To"], mail["Subject"]) == ("a@example.com, b@example.com", "Hello")
    assert mail["From"] == "BizInsights <noreply@bizinsights.example>"


@pytest.mark.mission("M-BI-46")
@pytest.mark.parametrize("operators", [("ops@example.com", "night@example.com"), ()])
async def test_a_critical_failure_tells_the_operators(
    maker: Maker, mails: Callable[[], list[str]], operators: tuple[str, ...]
) -> None:
    made = maker(*operators)

    @made.app.queues[QueueName.DATA_SYNC].job("broken")
    async def broken() -> None:
        raise RuntimeError("the disk is on fire")

    async with made.opened(), await made.app.worker():
        handle = await broken.add(attempts=1, priority=1)
        with pytest.raises(CorralError, match="the disk is on fire"):
            await handle.result(timeout=60)

        async def told() -> bool:
            return (await made.queue_service.get_queue_stats(QueueName.ALERTS))["completed"] == 1

        await until(told)
        await ended(made.app, QueueName.EMAIL_SENDING)
        (alert,) = await Alerts(made.database).list("bizinsights")
        (delivery,) = await Alerts(made.database).deliveries(alert.id)
    assert (alert.type, delivery.route, delivery.state) == ("JOB_FAILED", "admins", "sent" if operators else "failed")
    sent = [email.message_from_string(text, policy=email.policy.default) for text in mails()]
    assert [(mail["To"], mail["Subject"]) for mail in sent] == (
        [(", ".join(operators), "CRITICAL: Job failed")] if operators else []
    )


@pytest.mark.mission("M-BI-44")
async def test_a_hundred_waiting_jobs_are_none_and_a_hundred_and_one_an_alert(platform: Platform) -> None:
    mail = EXAMPLES[QueueName.EMAIL_SENDING]
    definition = platform.app.definition(QueueName.EMAIL_SENDING, QueueName.EMAIL_SENDING)
    await definition.add_bulk([mail] * 100)
    assert platform.app.alerts is not None
    settings = alert_settings({**platform.app.alerts, "after": 0, "no_worker": False})
    clock = FakeClock(datetime.now(UTC))
    monitor = Monitor(await platform.app.open(), clock=clock, thresholds=settings.thresholds)
    watch = Watch(monitor, Admin(monitor.storage, monitor, clock=clock), settings, hooks=platform.app.alert_hooks)

    await watch.look()
    assert (await platform.queue_service.get_queue_stats(QueueName.ALERTS))["waiting"] == 0
    await definition.add(mail)
    clock.advance(20)
    await watch.look()
    assert (await platform.queue_service.get_queue_stats(QueueName.ALERTS))["waiting"] == 1

    live = await platform.app.open_queue(QueueName.ALERTS)
    (job,) = (await live.page(JobState.WAITING)).items
    assert "101 jobs waiting, more than 100" in job.data


@pytest.mark.mission("M-BI-31")
@pytest.mark.parametrize("line", ["0 * * * *", "0 */6 * * *", "0 8 * * *", "0 8 * * 1", "0 8 1 * *"])
def test_the_cron_lines_are_understood(line: str) -> None:
    monday = 1_772_409_600_000  # 2026-03-02, midnight UTC
    hours = {"0 * * * *": 1, "0 */6 * * *": 6, "0 8 * * *": 8, "0 8 * * 1": 8, "0 8 1 * *": 30 * 24 + 8}

    assert Cron(line).next_after(monday) == monday + hours[line] * 3_600_000
