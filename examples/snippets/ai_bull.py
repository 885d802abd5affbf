"""Bull's own spellings: options, what repeats, counts and cleaning, with times in milliseconds."""

import asyncio

from corral.compat import BullQueue
from examples.aibackend.app import app

ASKED = {"userId": "user-1", "conversationId": "conversation-1", "message": "Hello"}


async def main() -> None:
    async with app, BullQueue("ai-tasks", app) as queue:
        await queue.add("generate-completion", ASKED, {"priority": 1, "attempts": 5, "timeout": 60000})
        await queue.add("generate-completion", ASKED, {"delay": 5000, "lifespan": 3600000})
        await queue.add("generate-completion", ASKED, {"limiter": {"max": 10, "duration": 1000}})
        await queue.add("generate-completion", ASKED, {"repeat": {"cron": "0 3 * * *", "tz": "America/New_York"}})
        print(await queue.getJobCounts("waiting", "delayed"))
        # -> {'waiting': 2, 'delayed': 1}
        [repeatable] = await queue.getRepeatableJobs()
        print(await queue.removeRepeatableByKey(str(repeatable["key"])))
        # -> True
        await queue.pause()
        print(await queue.isPaused(), len(await queue.getWaiting()), await queue.clean(86400000, "failed"))
        # -> True 2 []
        await queue.empty()
        print(await queue.getJobCounts())
        # -> {'waiting': 0, 'active': 0, 'completed': 0, 'failed': 0, 'delayed': 0, 'paused': 0}


asyncio.run(main())
