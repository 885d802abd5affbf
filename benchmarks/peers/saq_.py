"""saq on Redis."""

import asyncio

from saq import Queue, Worker

from benchmarks.peers.driver import Driver, Settings, main


class Saq(Driver):
    """At its defaults: finished jobs are kept for ten minutes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.queue = Queue.from_url(settings.url)

    async def open(self) -> None:
        await self.queue.connect()

    async def add(self, number: int, at: int = 0) -> None:
        await self.queue.enqueue("count", number=number, at=at)

    async def add_many(self, first: int, count: int) -> None:
        await asyncio.gather(*(self.add(number) for number in range(first, first + count)))

    async def waiting(self) -> int:
        return int(await self.queue.count("queued"))

    async def work(self) -> None:
        async def count(context: object, *, number: int, at: int) -> None:
            await self.handle(number, at)

        await Worker(self.queue, [("count", count)], concurrency=self.settings.slots).start()


if __name__ == "__main__":
    main(Saq)
