"""A message is queued, answered by a worker, and looked at by whoever asked. Nobody else sees it."""

import asyncio

from corral import JobNotFoundError
from examples.aibackend.app import ai_queue, ai_service, app


async def main() -> None:
    async with app, await app.worker():
        queued = await ai_service.queue_completion("user-1", "conversation-1", "How many legs has a spider?")
        print(queued)
        # -> {'jobId': '1', 'status': 'queued'}
        live = await ai_queue.open()
        await live.result(queued["jobId"], timeout=30)
        status = await ai_service.get_job_status("1", "user-1")
        print(status["state"], status["progress"], status["attempts"])
        # -> completed 100 1
        try:
            await ai_service.get_job_status("1", "user-2")
        except JobNotFoundError:
            print("not for user-2")
            # -> not for user-2


asyncio.run(main())
