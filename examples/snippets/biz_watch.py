import asyncio
from contextlib import suppress

from corral import CorralError
from examples.bizinsights.app import QueueName, platform, queue_service

SYNC = {"integrationId": "123", "organizationId": "456", "platform": "shopify", "syncType": "full"}


async def main() -> None:
    async with platform.opened():
        job = await queue_service.add_job(QueueName.DATA_SYNC, SYNC)  # nobody has keys for that shop: it will fail
        async with await platform.app.worker():
            with suppress(CorralError):
                await job.result(timeout=30)
        print((await queue_service.get_failed_jobs(QueueName.DATA_SYNC))[0].failed_reason)
        await queue_service.pause_queue(QueueName.DATA_SYNC)
        await queue_service.retry_failed_job(QueueName.DATA_SYNC, job.id)
        print((await queue_service.get_all_queue_stats())["data-sync"])
        await queue_service.empty_queue(QueueName.DATA_SYNC)
        await queue_service.resume_queue(QueueName.DATA_SYNC)
        await queue_service.clean_queue(QueueName.DATA_SYNC, 7 * 24 * 3600 * 1000, "failed")


asyncio.run(main())
# -> shopify needs SHOPIFY_SHOP and SHOPIFY_ACCESS_TOKEN
# -> {'waiting': 1, 'active': 0, 'completed': 0, 'failed': 0, 'delayed': 0, 'paused': 1}
