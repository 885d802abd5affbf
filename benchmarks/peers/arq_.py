"""arq. It polls: twice a second by default, which its latency shows and its rate does not, for it polls in batches."""

import arq
from arq.connections import RedisSettings
from arq.constants import default_queue_name

from benchmarks.peers.driver import Driver, Settings, main


class Arq(Driver):
    """Results are kept for an hour, its default."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.redis = RedisSettings.from_dsn(settings.url)

    async def open(self) -> None:
        self.pool = await arq.create_pool(self.redis)

    async def add(self, number: int, at: int = 0) -> None:
        await self.pool.enqueue_job("count", number, at)

    async def waiting(self) -> int:
        return int(await self.pool.zcard(default_queue_name))

    async def work(self) -> None:
        async def count(context: dict[str, object], number: int, at: int) -> None:
            await self.handle(number, at)

        worker = arq.Worker(
            [arq.func(count, name="count")], redis_settings=self.redis, max_jobs=self.settings.slots,
            handle_signals=False, log_results=False, poll_delay=0.5 if self.settings.gap else 0.01,
        )  # fmt: skip
        await worker.async_run()


if __name__ == "__main__":
    main(Arq)
