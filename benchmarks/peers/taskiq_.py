"""taskiq on Redis, with its broker on a list and the one on a stream."""

from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker, RedisStreamBroker

from benchmarks.peers.driver import Driver, Settings, main


class Taskiq(Driver):
    """The variant says which broker. Without a result backend, as by default."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.variant == "stream":
            # "0": jobs that were added before the first worker came must not be skipped.
            self.broker = RedisStreamBroker(settings.url, consumer_id="0")
        else:
            self.broker = ListQueueBroker(settings.url)

        async def count(number: int, at: int) -> None:  # it names the function after itself: a method has no name
            await self.handle(number, at)

        self.task = self.broker.register_task(count, task_name="count")

    async def open(self) -> None:
        await self.broker.startup()

    async def add(self, number: int, at: int = 0) -> None:
        await self.task.kiq(number, at)

    async def waiting(self) -> int:
        import redis

        with redis.Redis.from_url(self.settings.url) as client:
            length = client.xlen if self.settings.variant == "stream" else client.llen
            return int(length("taskiq"))

    async def work(self) -> None:
        await run_receiver_task(
            self.broker, max_async_tasks=self.settings.slots, max_prefetch=self.settings.slots, run_startup=True
        )


if __name__ == "__main__":
    main(Taskiq)
