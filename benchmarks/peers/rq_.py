"""RQ with its worker that does not fork: one job at a time, as with the other one."""

import sys

import redis
from rq import Queue, SimpleWorker

from benchmarks.peers import rq_ as tasks
from benchmarks.peers.driver import Driver, Settings, main

#: Handlers are found by their import path, so the running driver is found by way of the module.
DRIVER: list[Driver] = []


def count(number: int, at: int) -> None:
    """The handler."""
    tasks.DRIVER[0].handle_sync(number, at)


class Rq(Driver):
    """At its defaults: results are kept for 500 s."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        tasks.DRIVER.append(self)
        self.connection = redis.Redis.from_url(settings.url)
        self.queue = Queue("bench", connection=self.connection)

    async def add(self, number: int, at: int = 0) -> None:
        self.queue.enqueue(tasks.count, number, at)

    async def add_many(self, first: int, count: int) -> None:
        self.queue.enqueue_many(
            [Queue.prepare_data(tasks.count, (number, 0)) for number in range(first, first + count)]
        )

    async def waiting(self) -> int:
        return int(self.queue.count)

    async def work(self) -> None:
        SimpleWorker([self.queue], connection=self.connection).work(logging_level="ERROR")


if __name__ == "__main__":
    sys.stderr.flush()
    main(Rq)
