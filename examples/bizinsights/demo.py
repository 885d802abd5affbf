"""BizInsights' demo: shops are synced, one of them has to wait, one has lost its keys, and a bad Sunday is found.

`python -m examples.demo bizinsights`; the stage it plays on is every platform's.
"""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import jwt
from fastapi import FastAPI
from pydantic import SecretStr

from corral import Corral, CorralError, Priority
from corral.handlers.email import EmailSettings
from corral.handlers.sync import SyncSettings
from corral.handlers.webhooks import WebhooksSettings
from examples.demo.stage import Stage
from examples.demo.transport import note_attempt, unreliable_mail

from .api import make_api
from .build import Platform, make_platform, platform_of
from .payloads import QueueName
from .pretend import TOKEN, pretending
from .seed import seed
from .settings import Settings


def prepare(folder: Path) -> None:
    """The figures end yesterday: begin with fresh ones."""
    for name in ("bizinsights.db", "bizinsights.db-wal", "bizinsights.db-shm"):
        (folder / name).unlink(missing_ok=True)


async def build(stage: Stage) -> Corral:
    """The platform, with mails that stay on this machine, and with servers that play the platforms."""
    platform = _platform(stage, await stage.keep(pretending()))
    async with platform.opened():
        count = await seed(platform)
        for id in ("acme-analytics", "nordic-shop", "nordic-analytics"):
            await platform.integrations.pause(id)  # nobody here plays their platforms
        await platform.integrations.delete("acme-ads")  # it comes in the course of the day
    await stage.keep(platform.database)  # life does not wait for the worker to open it
    stage.note(f"the database has {count:,} figures of two organizations, by day, until yesterday")
    platform.app.middleware(note_attempt)
    return platform.app


def api(app: Corral, stage: Stage) -> FastAPI:
    """The platform's API, for the tokens of this run."""
    return make_api(app, Settings(url=stage.url, jwt_secret=SecretStr(stage.secret)))


def _platform(stage: Stage, site: str) -> Platform:
    return make_platform(
        Settings(url=stage.url, bizinsights_home=stage.folder),
        email=EmailSettings(email_transport="dry-run", email_from="BizInsights <noreply@bizinsights.example>"),
        transport=unreliable_mail(stage.mails),
        sync_settings=SyncSettings.load(
            shopify_shop="acme.myshopify.com", shopify_access_token=TOKEN, shopify_url=site, stripe_api_key=TOKEN,
            stripe_url=site, facebook_ad_account="act_1", facebook_access_token=TOKEN, facebook_url=site,
        ),
        webhook_settings=WebhooksSettings.load(shopify_webhook_secret=TOKEN),
    )  # fmt: skip


async def life(app: Corral, stage: Stage) -> None:
    """A day at the platform."""
    platform = platform_of(app)
    await sync(platform, stage)
    await take_webhook(platform, stage)
    await platform.job_scheduler.schedule_immediate_insights("org-acme", "30d")
    stage.note("added insights into Acme's last 30 days: its Sunday is worth an alert, and a mail to its owner")
    for kind, organization in (("weekly", "org-acme"), ("monthly", "org-nordic")):
        await platform.queue_service.add_job(
            QueueName.REPORT_GENERATION,
            {
                "reportId": f"demo-{kind}", "organizationId": organization, "reportType": kind,
                "period": "7d" if kind == "weekly" else "30d", "recipientEmails": ["team@company.example"],
            },
        )  # fmt: skip
    stage.note("added a weekly and a monthly report, each mailed when it is made")
    await invite(platform, stage)
    if stage.site is not None:
        claims = {"sub": "ann", "roles": ["ADMIN"], "exp": datetime.now(UTC).timestamp() + 3_600}
        token = jwt.encode(claims, stage.secret, algorithm="HS256")
        stage.note(f"how it stands: curl -H 'Authorization: Bearer {token}' {stage.site}/api/jobs/monitoring")


async def sync(platform: Platform, stage: Stage) -> None:
    """Sync what can be synced now."""
    scheduler = platform.job_scheduler
    shop = await scheduler.schedule_immediate_sync("acme-shopify")
    payments = await scheduler.schedule_immediate_sync("acme-stripe")
    stage.note("added a sync of Shopify, and one of Stripe, which wants two seconds of rest: nobody else waits for it")
    await platform.integrations.save("acme-ads", organization_id="org-acme", platform="facebook-ads")
    ads = await scheduler.schedule_immediate_sync("acme-ads")
    stage.fails(ads)
    stage.note("added a sync of Facebook Ads, whose token has run out: it fails at once, and its owner is told")
    for handle in (shop, payments):
        await handle.result(timeout=300)
    try:
        await platform.queue_service.add_job(QueueName.DATA_SYNC, {"integrationId": "x", "platform": "magento"})
    except CorralError as error:
        stage.note(f"a mistake is refused when it is made: {error}")


async def take_webhook(platform: Platform, stage: Stage) -> None:
    """Shopify tells of an order, signed; and somebody else pretends to be Shopify."""
    body = json.dumps({"id": 9_012, "total_price": "52.90"}).encode()
    digest = base64.b64encode(hmac.new(TOKEN.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"x-shopify-topic": "orders/create", "x-shopify-webhook-id": "demo", "x-shopify-hmac-sha256": digest}
    good = await platform.receiver.receive("acme-shopify", headers, body)
    forged = await platform.receiver.receive("acme-shopify", headers, body.replace(b"52.90", b"00.01"))
    stage.note(f"a webhook was answered with {good.status}, a forged one with {forged.status}: it became no job")


async def invite(platform: Platform, stage: Stage) -> None:
    """Many invitations at once, and one mail that overtakes them."""
    definition = platform.app.definition(QueueName.EMAIL_SENDING, QueueName.EMAIL_SENDING)
    invitations = [
        {
            "to": f"member-{number}@company.example", "subject": "Come and see the figures",
            "template": "team-invitation",
            "data": {"organizationName": "Acme Outdoor", "inviteUrl": f"https://biz.example/i/{number}"},
        }
        for number in range(1, stage.burst + 1)
    ]  # fmt: skip
    stage.many(await definition.add_bulk(invitations, priority=Priority.LOW))
    await platform.queue_service.add_job(
        QueueName.EMAIL_SENDING,
        {
            "to": "user@example.com",
            "subject": "Welcome to BizInsights",
            "template": "welcome",
            "data": {"name": "John"},
        },
        {"priority": 1},
    )
    stage.note(f"added {stage.burst} invitations in one step, and a welcome mail that overtakes them")
