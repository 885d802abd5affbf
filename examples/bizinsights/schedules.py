"""What comes again by itself: a table for the platform, and one schedule for each integration by its plan."""

import zlib
from collections.abc import Sequence

from corral import Corral, Cron, JobHandle
from corral.handlers.sync import Integration, Integrations

from .organizations import Organizations, PlanName
from .payloads import QueueName
from .service import QueueService

EVERY_SIX_HOURS = "0 */6 * * *"
#: Hours between two syncs, by platform and plan. The middle one is what everybody gets; ads are reported once a day.
HOURS: dict[str, dict[PlanName, int]] = {
    "shopify": {"starter": 4, "growth": 2, "enterprise": 1},
    "woocommerce": {"starter": 4, "growth": 2, "enterprise": 1},
    "stripe": {"starter": 6, "growth": 3, "enterprise": 2},
    "google-analytics": {"starter": 8, "growth": 4, "enterprise": 2},
    "facebook-ads": {"starter": 24, "growth": 24, "enterprise": 12},
}


def register(app: Corral) -> None:
    """Declare what does not depend on the data. Workers bring the store in line with it when they start."""
    app.schedule("watch-integrations", Cron("30 * * * *"), app.definition(QueueName.ALERTS, "watch-integrations"))
    app.schedule("expired-reports", Cron("45 3 * * *"), app.definition(QueueName.REPORT_GENERATION, "expired-reports"))


def minute_of(id: str) -> int:
    """The minute of an integration: its own, so that not all of them ask the same platform on the hour."""
    return zlib.crc32(id.encode()) % 60


def cron_for(integration_id: str, platform: str, plan: PlanName) -> str:
    """When an integration is synced: `17 */2 * * *`."""
    hours, minute = HOURS[platform][plan], minute_of(integration_id)
    if hours == 1:
        return f"{minute} * * * *"
    return f"{minute} 6 * * *" if hours == 24 else f"{minute} */{hours} * * *"


class JobScheduler:
    """Sets up recurring jobs, and runs them without waiting for their time."""

    def __init__(self, service: QueueService, integrations: Integrations, organizations: Organizations) -> None:
        self._service = service
        self._integrations = integrations
        self._organizations = organizations

    async def initialize(self) -> int:
        """Bring all schedules in line with what is in the database; answers how many there are.

        Doing so again changes nothing: each has a key of its own.
        """
        wanted: set[tuple[QueueName, str]] = set()
        for organization in await self._organizations.list():
            await self.schedule_insights(organization.id)
            wanted.add((QueueName.INSIGHTS_GENERATION, f"insights-{organization.id}"))
        for integration in await self._integrations.list():
            if integration.status != "paused":
                await self.schedule_integration(integration)
                wanted.add((QueueName.DATA_SYNC, f"sync-{integration.id}"))
        for queue, prefix in ((QueueName.DATA_SYNC, "sync-"), (QueueName.INSIGHTS_GENERATION, "insights-")):
            for one in await self._service.get_recurring_jobs(queue):
                key = str(one["key"])
                if key.startswith(prefix) and (queue, key) not in wanted:
                    await self._service.remove_recurring_job(queue, key)
        return len(wanted)

    async def schedule_integration(self, integration: Integration) -> str:
        """Sync it as often as its organization's plan has it; answers the cron line."""
        organization = await self._organizations.get(integration.organization_id)
        cron = cron_for(integration.id, integration.platform, "growth" if organization is None else organization.plan)
        await self._service.add_recurring_job(
            QueueName.DATA_SYNC, f"sync-{integration.id}", _sync_of(integration, "incremental"), cron
        )
        return cron

    async def unschedule_integration(self, integration_id: str) -> bool:
        """Sync it no more by itself; False when it was not."""
        return await self._service.remove_recurring_job(QueueName.DATA_SYNC, f"sync-{integration_id}")

    async def schedule_insights(self, organization_id: str) -> None:
        """Look at an organization's figures every six hours."""
        await self._service.add_recurring_job(
            QueueName.INSIGHTS_GENERATION, f"insights-{organization_id}",
            {"organizationId": organization_id, "period": "30d"}, EVERY_SIX_HOURS,
        )  # fmt: skip

    async def schedule_report(
        self, organization_id: str, recipients: Sequence[str], *, kind: str = "weekly", cron: str = "0 8 * * 1"
    ) -> None:
        """Mail a report to these people, by default every Monday at eight."""
        period = {"weekly": "7d", "monthly": "30d", "quarterly": "90d"}[kind]
        await self._service.add_recurring_job(
            QueueName.REPORT_GENERATION, f"{kind}-report-{organization_id}",
            {
                "reportId": "recurring", "organizationId": organization_id, "reportType": kind, "period": period,
                "recipientEmails": list(recipients),
            },
            cron,
        )  # fmt: skip

    async def schedule_immediate_sync(
        self, integration_id: str, *, sync_type: str = "incremental"
    ) -> JobHandle[object]:
        """Sync an integration now, before everything that waits. Raises: RecordNotFoundError."""
        integration = await self._integrations.get(integration_id)
        return await self._service.add_job(QueueName.DATA_SYNC, _sync_of(integration, sync_type), priority=1)

    async def schedule_immediate_insights(self, organization_id: str, period: str = "30d") -> JobHandle[object]:
        """Look at an organization's figures now, also when they are those of the last time."""
        data = {"organizationId": organization_id, "period": period, "forceRegenerate": True}
        return await self._service.add_job(QueueName.INSIGHTS_GENERATION, data, priority=1)


def _sync_of(integration: Integration, sync_type: str) -> dict[str, str]:
    return {
        "integrationId": integration.id,
        "organizationId": integration.organization_id,
        "platform": integration.platform,
        "syncType": sync_type,
    }
