import asyncio

from corral import Corral, WorkerOptions
from corral.compat import BullJob, BullQueue

app = Corral("sqlite:///corral.db")
queue = BullQueue("ai-tasks", app, {"defaultJobOptions": {"removeOnComplete": 100, "removeOnFail": 500}})


async def complete(job: BullJob) -> dict[str, str]:
    await job.update_progress(50)  # type: ignore[misc]
    return {"content": f"you said {job.data}"}


queue.process("generate-completion", 5, complete)


async def main() -> None:
    async with app:
        options = {"attempts": 3, "backoff": {"type": "exponential", "delay": 5000}, "timeout": 60000}
        job = await queue.add("generate-completion", "hello", options)
        async with await app.worker(options=WorkerOptions(burst=True)):
            print(await job.finished())
            # -> {'content': 'you said hello'}
        print(await job.getState(), await queue.getJobCounts("waiting", "completed"))
        # -> completed {'waiting': 0, 'completed': 1}


asyncio.run(main())
