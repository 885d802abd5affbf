"""Celery on Redis, without a result backend."""

from celery import Celery

from benchmarks.peers.driver import Driver, Settings, main


class Bench(Driver):
    """The variant is the pool. Its process pool is left out: on two cores that would be a run of several processes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.app = Celery("bench", broker=settings.url)
        self.app.conf.update(
            task_ignore_result=True, worker_hijack_root_logger=False, worker_redirect_stdouts=False,
            broker_connection_retry_on_startup=True,
        )  # fmt: skip
        self.task = self.app.task(name="count")(self.handle_sync)

    async def add(self, number: int, at: int = 0) -> None:
        self.task.delay(number, at)

    async def waiting(self) -> int:
        with self.app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen("celery"))

    async def work(self) -> None:
        self.app.Worker(
            pool=self.settings.variant, concurrency=self.settings.slots, without_gossip=True, without_mingle=True,
            without_heartbeat=True, quiet=True, loglevel="ERROR",
        ).start()  # fmt: skip


if __name__ == "__main__":
    main(Bench)
