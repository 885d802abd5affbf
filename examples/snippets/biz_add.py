import asyncio

from examples.bizinsights.app import QueueName, platform, queue_service

SYNC = {"integrationId": "123", "organizationId": "456", "platform": "shopify", "syncType": "incremental"}
ALERT = {
    "organizationId": "456",
    "alertType": "DATA_ANOMALY",
    "severity": "HIGH",
    "message": "Revenue dropped 50% from yesterday",
    "metadata": {"metric": "revenue", "change": -50},
}


async def main() -> None:
    async with platform.opened():
        job = await queue_service.add_job(QueueName.DATA_SYNC, SYNC)
        later = {"priority": 1, "attempts": 5, "backoff": {"type": "exponential", "delay": 5000}, "delay": 60000}
        await queue_service.add_job(QueueName.DATA_SYNC, SYNC, later)  # Bull's options, in milliseconds
        await queue_service.add_job(QueueName.ALERTS, ALERT, priority=1, delay=60)  # corral's, in seconds
        stats = await queue_service.get_queue_stats(QueueName.DATA_SYNC)
        print(f"job {job.id}: {stats['waiting']} waiting, {stats['delayed']} delayed")


asyncio.run(main())
# -> job 1: 1 waiting, 1 delayed
