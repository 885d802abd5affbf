import asyncio

from examples.bizinsights.app import QueueName, job_scheduler, platform, queue_service
from examples.bizinsights.seed import seed

REPORT = {"reportId": "recurring", "organizationId": "org-acme", "reportType": "weekly", "period": "7d"}


async def main() -> None:
    async with platform.opened():
        await seed(platform)
        print(await job_scheduler.initialize(), "schedules")
        key, mondays = "weekly-report-org-acme", "0 8 * * 1"
        await queue_service.add_recurring_job(QueueName.REPORT_GENERATION, key, REPORT, mondays)
        shop = await platform.integrations.get("nordic-shop")
        print(shop.platform, "of an enterprise:", await job_scheduler.schedule_integration(shop))
        await job_scheduler.schedule_immediate_sync("acme-shopify")  # before all that waits
        await job_scheduler.schedule_immediate_insights("org-acme", "30d")


asyncio.run(main())
# -> 8 schedules
# -> woocommerce of an enterprise: 48 * * * *
