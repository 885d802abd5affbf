"""Queue `data-sync`: fetches from Shopify, WooCommerce, Stripe, Google Analytics and Facebook Ads."""

from corral import Corral
from corral.handlers import sync
from corral.handlers.kit.database import Database

from ..payloads import QueueName, RaiseAlert, Severity
from ..queues import take_in


def register(app: Corral, settings: sync.SyncSettings, database: Database) -> None:
    """Serve the queue. An integration that stops working is an alert, so that its people hear of it."""

    async def tell(problem: sync.Problem) -> None:
        broken = problem.integration
        alert = RaiseAlert(
            organization_id=broken.organization_id, alert_type="INTEGRATION_ERROR", severity=Severity.HIGH,
            key=broken.id, message=f"{broken.platform} cannot be synced any more: {problem.reason}"[:2_000],
            metadata={"integrationId": broken.id, "platform": broken.platform},
        )  # fmt: skip
        await app.definition(QueueName.ALERTS, "alerts").add(alert, id=problem.id)

    made = sync.bundle(settings, database=database, on_problem=tell, queue=QueueName.DATA_SYNC)
    take_in(app, made, "data-sync")
    # A platform that wants a rest then stops one integration; and none is synced by two workers at once.
    app.enqueue_middleware(sync.by_integration(QueueName.DATA_SYNC))
