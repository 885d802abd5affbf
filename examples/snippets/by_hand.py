import asyncio

from corral import Queue, connect


async def main() -> None:
    async with connect("sqlite:///corral.db") as storage:
        queue = Queue("letters", storage)
        await queue.add("letter", {"to": "Ann"}, attempts=2)
        await queue.add("letter", {"to": "nobody"})
        for job in await queue.claim(10, lease=60):
            async with job:  # completes it with `job.result`, or lets it fail with what is raised
                print(job.name, job.data)
                await job.extend(300)  # it will take longer
                if job.data == {"to": "nobody"}:
                    raise ValueError("no such address")
                job.result = "sent"
        counts = await queue.counts()
        print(counts.completed, counts.failed)


asyncio.run(main())
# -> letter {'to': 'Ann'}
# -> letter {'to': 'nobody'}
# -> 1 1
