"""pgqueuer on PostgreSQL."""

import asyncpg
from pgqueuer import PgQueuer, Queries
from pgqueuer.models import Job

from benchmarks.peers.driver import Driver, main


class Pgqueuer(Driver):
    """A slot is a place in its batch; how many of a batch run at once it does not bound."""

    async def open(self) -> None:
        connection = await asyncpg.connect(self.settings.url)
        self.queries = Queries.from_asyncpg_connection(connection)
        await connection.execute("select pg_advisory_lock(1)")  # a worker and a producer may come first together
        if not await self.queries.has_table("pgqueuer"):
            await self.queries.install()
        await connection.execute("select pg_advisory_unlock(1)")

    async def add(self, number: int, at: int = 0) -> None:
        await self.queries.enqueue("count", b"%d %d" % (number, at))

    async def add_many(self, first: int, count: int) -> None:
        payloads: list[bytes | None] = [b"%d 0" % number for number in range(first, first + count)]
        await self.queries.enqueue(["count"] * count, payloads, [0] * count)

    async def waiting(self) -> int:
        return sum(row.count for row in await self.queries.queue_size())

    async def work(self) -> None:
        await self.open()
        worker = PgQueuer.from_asyncpg_connection(await asyncpg.connect(self.settings.url))

        async def count(job: Job) -> None:
            assert job.payload is not None
            number, at = job.payload.split()
            await self.handle(int(number), int(at))

        worker.entrypoint("count")(count)
        await worker.run(batch_size=self.settings.slots)


if __name__ == "__main__":
    main(Pgqueuer)
