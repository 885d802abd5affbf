"""What the platforms tell by themselves: verified, answered at once, worked on soon."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import httpx
import pytest

from corral import JobState
from corral.handlers.webhooks import WebhooksSettings
from examples.bizinsights.api import make_api
from examples.bizinsights.build import Platform, make_platform
from examples.bizinsights.payloads import QueueName
from examples.bizinsights.seed import seed
from examples.bizinsights.settings import Settings

from .conftest import Maker, until

SHOPIFY = "shopify-secret"  # of nothing


def signed(body: bytes, secret: str = SHOPIFY, **more: str) -> dict[str, str]:
    """The headers with which Shopify sends a body."""
    digest = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    return {"x-shopify-hmac-sha256": digest, "x-shopify-topic": "orders/create",
            "x-shopify-webhook-id": "b54557e4", "content-type": "application/json", **more}  # fmt: skip


@pytest.fixture
def hooked(maker: Maker) -> Platform:
    """A platform that knows Shopify's secret."""
    return maker(webhook_settings=WebhooksSettings.load(shopify_webhook_secret=SHOPIFY))


async def post(platform: Platform, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send a delivery as the platforms do: again when it could not be stored in two seconds (a busy disk)."""
    transport = httpx.ASGITransport(app=make_api(platform.app, platform.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://biz.example") as sender:
        answer = await sender.post(path, content=body, headers=headers)
        for _ in range(9):
            if answer.status_code != 503:
                break
            answer = await sender.post(path, content=body, headers=headers)
    return answer


@pytest.mark.mission("M-BI-16", "M-BI-23")
async def test_a_webhook_is_answered_at_once_and_its_shop_synced(hooked: Platform) -> None:
    body = json.dumps({"id": 820_982_911, "total_price": "403.00"}).encode()
    async with hooked.opened():
        await seed(hooked)
        answer = await post(hooked, "/api/webhooks/acme-shopify", body, signed(body))

        assert (answer.status_code, answer.json()) == (200, {"received": True})
        (job,) = (await (await hooked.app.open_queue(QueueName.WEBHOOK_PROCESSING)).page(JobState.WAITING)).items
        carried = json.loads(job.data)
        assert (carried["platform"], carried["eventType"]) == ("shopify", "orders/create")
        assert (carried["integrationId"], carried["organizationId"]) == ("acme-shopify", "org-acme")

        async with await hooked.app.worker(queues={QueueName.WEBHOOK_PROCESSING: 1}):

            async def added() -> bool:
                return (await hooked.queue_service.get_queue_stats(QueueName.DATA_SYNC))["waiting"] == 1

            await until(added)


@pytest.mark.mission("M-BI-13", "M-BI-16")
async def test_a_site_with_woocommerce_signs_in_its_own_way(platform_url: str, tmp_path: Path) -> None:
    made = make_platform(
        Settings(url=platform_url, bizinsights_home=tmp_path / "home", woocommerce_webhook_secret=SHOPIFY)
    )
    body = b'{"id": 7}'
    digest = base64.b64encode(hmac.new(SHOPIFY.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"x-wc-webhook-signature": digest, "x-wc-webhook-topic": "order.created", "x-wc-webhook-delivery-id": "1"}
    async with made.opened(), await made.app.worker(queues={QueueName.WEBHOOK_PROCESSING: 1}):
        await seed(made)
        assert (await post(made, "/api/webhooks/nordic-shop", body, headers)).json() == {"received": True}

        async def added() -> bool:
            return (await made.queue_service.get_queue_stats(QueueName.DATA_SYNC))["waiting"] == 1

        await until(added)


@pytest.mark.mission("M-BI-16")
async def test_what_is_not_signed_by_the_platform_is_no_job(hooked: Platform) -> None:
    body = b'{"id": 1}'
    async with hooked.opened():
        await seed(hooked)
        forged = await post(hooked, "/api/webhooks/acme-shopify", body, signed(body, "another"))
        changed = await post(hooked, "/api/webhooks/acme-shopify", b'{"id": 2}', signed(body))
        nobody = await post(hooked, "/api/webhooks/nobody", body, signed(body))

        assert (forged.status_code, changed.status_code, nobody.status_code) == (401, 401, 404)
        assert (await hooked.queue_service.get_queue_stats(QueueName.WEBHOOK_PROCESSING))["waiting"] == 0


@pytest.mark.mission("M-BI-16")
async def test_the_same_delivery_again_is_acknowledged_and_forgotten(hooked: Platform) -> None:
    body = b'{"id": 1}'
    async with hooked.opened():
        await seed(hooked)
        for _ in range(3):
            assert (await post(hooked, "/api/webhooks/acme-shopify", body, signed(body))).status_code == 200
        assert (await hooked.queue_service.get_queue_stats(QueueName.WEBHOOK_PROCESSING))["waiting"] == 1


@pytest.mark.mission("M-BI-16")
async def test_a_body_that_does_not_end_is_refused(hooked: Platform) -> None:
    body = b"x" * (hooked.receiver.max_bytes + 10)
    async with hooked.opened():
        await seed(hooked)
        assert (await post(hooked, "/api/webhooks/acme-shopify", body, signed(body))).status_code == 413


@pytest.mark.mission("M-BI-54")
async def test_webhooks_are_worked_on_within_seconds(hooked: Platform) -> None:
    async with hooked.opened(), await hooked.app.worker():
        await seed(hooked)
        for number in range(50):
            body = json.dumps({"id": number}).encode()
            headers = signed(body, **{"x-shopify-webhook-id": str(number)})  # orders/create
            assert (await post(hooked, "/api/webhooks/acme-shopify", body, headers)).status_code == 200

        async def done() -> bool:
            return (await hooked.queue_service.get_queue_stats(QueueName.WEBHOOK_PROCESSING))["completed"] == 50

        await until(done)
        live = await hooked.app.open_queue(QueueName.WEBHOOK_PROCESSING)
        ended = (await live.page(JobState.COMPLETED, limit=100)).items
    took = [(job.finished_at or 0) - job.created_at for job in ended]
    assert (len(took), max(took) < 30_000) == (50, True)  # this machine may be busy with others


@pytest.mark.mission("M-BI-16")
async def test_a_shop_that_leaves_is_synced_no_more(hooked: Platform) -> None:
    body = b'{"id": 1}'
    async with hooked.opened(), await hooked.app.worker(queues={QueueName.WEBHOOK_PROCESSING: 1}):
        await seed(hooked)
        await post(hooked, "/api/webhooks/acme-shopify", body, signed(body, **{"x-shopify-topic": "app/uninstalled"}))

        async def paused() -> bool:
            return (await hooked.integrations.get("acme-shopify")).status == "paused"

        await until(paused)
