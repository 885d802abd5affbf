"""huey on Redis. A slot is a thread."""

import asyncio

from huey import RedisHuey

from benchmarks.peers.driver import Driver, Settings, main


class Huey(Driver):
    """At its defaults: it blocks on Redis, and stores no result of a task that returns nothing."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.huey = RedisHuey("bench", url=settings.url)
        self.task = self.huey.task(name="count")(self.handle_sync)

    async def add(self, number: int, at: int = 0) -> None:
        self.task(number, at)

    async def waiting(self) -> int:
        return int(self.huey.storage.queue_size())

    async def work(self) -> None:
        self.huey.create_consumer(workers=self.settings.slots, periodic=False).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    main(Huey)
