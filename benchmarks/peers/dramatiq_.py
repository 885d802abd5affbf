"""dramatiq on Redis. A slot is a thread."""

import asyncio

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.driver import Driver, Settings, main


class Dramatiq(Driver):
    """Without the middleware for results, which it has not by default either."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.broker = RedisBroker(url=settings.url)
        dramatiq.set_broker(self.broker)
        self.task = dramatiq.actor(self.handle_sync, actor_name="count")

    async def add(self, number: int, at: int = 0) -> None:
        self.task.send(number, at)

    async def waiting(self) -> int:
        return int(self.broker.client.llen("dramatiq:default"))

    async def work(self) -> None:
        dramatiq.Worker(self.broker, worker_threads=self.settings.slots).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    main(Dramatiq)
