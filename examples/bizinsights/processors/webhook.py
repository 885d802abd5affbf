"""Queue `webhook-processing`: what the platforms tell by themselves."""

from collections.abc import Mapping

from msgspec.structs import replace
from pydantic import SecretStr

from corral import Corral, Dedup, JobContext
from corral.handlers import webhooks
from corral.handlers.sync import Integrations

from ..payloads import QueueName, RaiseAlert, Severity, WebhookEvent
from ..queues import UNNAMED

#: However many events a sale makes, one sync fetches all that they are about.
TOGETHER = 30


def register(
    app: Corral, settings: webhooks.WebhooksSettings, integrations: Integrations, woocommerce: SecretStr | None = None
) -> webhooks.Receiver:
    """Serve the queue, and answer what takes webhooks in: at `/api/webhooks/<integration>`, or `/<platform>`."""
    known = webhooks.sources_of(settings)
    if woocommerce is not None:
        known["woocommerce"] = webhooks.generic(
            woocommerce, platform="woocommerce", header="x-wc-webhook-signature", encoding="base64",
            id_header="x-wc-webhook-delivery-id", event_header="x-wc-webhook-topic",
        )  # fmt: skip

    async def source(name: str) -> webhooks.Source | None:
        return known.get(name) or await _of_integration(known, integrations, name)

    receiver = webhooks.Receiver(app, source, settings=settings, queue=QueueName.WEBHOOK_PROCESSING)
    receiver.queue.job(UNNAMED)(receiver.queue.definition(QueueName.WEBHOOK_PROCESSING).__wrapped__)

    @receiver.on("shopify", "orders/*", "refunds/*", "products/*", "customers/*")
    @receiver.on("stripe", "charge.*", "refund.*", "customer.*", "payment_intent.*")
    @receiver.on("woocommerce", "*")
    async def sync(ctx: JobContext, event: WebhookEvent) -> None:
        """Fetch what changed. The event says that something did; what it is, the platform knows best."""
        if event.integration_id is None:
            await ctx.log(f"{event.event_type} names no integration: nothing to sync")
            return
        integration = await integrations.get(event.integration_id)
        payload = {
            "integrationId": integration.id, "organizationId": integration.organization_id,
            "platform": integration.platform, "syncType": "incremental",
        }  # fmt: skip
        once = Dedup(f"webhook-{integration.id}", ttl=TOGETHER)
        await app.definition(QueueName.DATA_SYNC, QueueName.DATA_SYNC).add(payload, dedup=once)

    @receiver.on("shopify", "app/uninstalled")
    async def leave(ctx: JobContext, event: WebhookEvent) -> None:
        """Sync a shop no more that has sent the application away."""
        if event.integration_id is None or event.organization_id is None:
            return
        await integrations.pause(event.integration_id)
        alert = RaiseAlert(
            organization_id=event.organization_id, alert_type="INTEGRATION_REMOVED", severity=Severity.MEDIUM,
            key=event.integration_id, message="The shop has uninstalled the application; it is not synced any more.",
        )  # fmt: skip
        await app.definition(QueueName.ALERTS, QueueName.ALERTS).add(alert, id=f"uninstalled-{ctx.id}")

    return receiver


async def _of_integration(
    known: Mapping[str, webhooks.Source], integrations: Integrations, id: str
) -> webhooks.Source | None:
    """An integration signs with its platform's secret: an application has one for all the shops that have it."""
    integration = await integrations.find(id)
    signed = None if integration is None else known.get(integration.platform)
    if integration is None or signed is None:
        return None
    return replace(signed, organization_id=integration.organization_id, integration_id=integration.id)
