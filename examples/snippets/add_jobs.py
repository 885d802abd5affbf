import asyncio

from examples.teamspark.app import add_job, app, email_queue, metrics_queue

WELCOME = {
    "to": "user@example.com",
    "subject": "Welcome to TeamSpark!",
    "template": "welcome",
    "data": {"name": "John"},
}
ENGAGEMENT = {"organizationId": "org-123", "metricType": "engagement", "period": "weekly"}


async def main() -> None:
    async with app:
        job = await add_job(email_queue, "welcome-email", WELCOME)
        await add_job(email_queue, "reminder", WELCOME, delay=60)  # seconds, where BullMQ has milliseconds
        await add_job(email_queue, "urgent", WELCOME, priority=1)  # before everything that has no priority
        await add_job(metrics_queue, "engagement-metrics", ENGAGEMENT)
        print(job.id)


asyncio.run(main())
# -> 1
