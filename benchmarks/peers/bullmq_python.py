"""The official BullMQ for Python."""

import asyncio

from bullmq import Job, Queue, Worker

from benchmarks.peers.driver import Driver, main


class BullMQ(Driver):
    """One queue, `bench`, whose completed jobs are kept: its default."""

    async def open(self) -> None:
        self.queue = Queue("bench", {"connection": self.settings.url})

    async def add(self, number: int, at: int = 0) -> None:
        await self.queue.add("count", {"i": number, "at": at} if at else {"i": number})

    async def add_many(self, first: int, count: int) -> None:
        await self.queue.addBulk([{"name": "count", "data": {"i": number}} for number in range(first, first + count)])

    async def waiting(self) -> int:
        return int(await self.queue.getWaitingCount())

    async def work(self) -> None:
        async def process(job: Job, token: str) -> None:
            await self.handle(job.data["i"], job.data.get("at", 0))

        self.worker = Worker(
            "bench", process, {"connection": self.settings.url, "concurrency": self.settings.slots, "autorun": False}
        )
        await asyncio.ensure_future(self.worker.run())


if __name__ == "__main__":
    main(BullMQ)
