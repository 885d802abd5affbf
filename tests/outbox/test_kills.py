"""A relay that is killed, again and again, wherever it happens to be: each row becomes one job."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
import sqlalchemy as sa

from corral import connect
from corral.outbox import Outbox

from .shop import confirm, shop

#: What to tell the process of the relays, and what it answers when that has happened.
Order: TypeAlias = Callable[[str, bytes], Awaitable[None]]


@asynccontextmanager
async def relays(store: str, database: str) -> AsyncIterator[Order]:
    """A process that starts and kills relays, one at a time; both are awaited until they have happened."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.outbox.relaying", store, database,
        env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    async def order(word: str, answer: bytes) -> None:
        stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(60):
            assert await stdout.readline() == answer

    try:
        yield order
    finally:
        stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


async def kills(count: int, rows: int, store: str, database: str, db: sa.Engine) -> Counter[int]:
    """Kill `count` relays while they carry rows, let a last one finish, and count the jobs of each order."""
    outbox = Outbox(shop(store))
    async with connect(store):  # made before the first relay comes
        pass
    with db.begin() as connection:
        job = confirm(outbox.app)
        outbox.add_jobs(connection, [job.new({"order": order}) for order in range(rows)])
    choose = random.Random(4)
    async with relays(store, database) as order:
        for _ in range(count):
            await order("start", b"ready\n")
            await asyncio.sleep(choose.uniform(0.0, 0.06))
            await order("kill", b"dead\n")
        await order("start", b"ready\n")
        async with asyncio.timeout(90):
            while await asyncio.to_thread(left, db, outbox):  # noqa: ASYNC110  # it is in the database
                await asyncio.sleep(0.05)
        await order("kill", b"dead\n")
    with db.connect() as connection:
        assert outbox.aside(connection) == []
    async with shop(store) as app:
        page = await (await app.open_queue("orders")).page(limit=10_000, newest_first=False)
    orders = [json.loads(one.data)["order"] for one in page.items]
    assert orders == sorted(orders)
    return Counter(orders)


def left(db: sa.Engine, outbox: Outbox) -> int:
    with db.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(outbox.tables.jobs)) or 0


@pytest.mark.slow  # a process imports everything, and forks three relays one after the other
@pytest.mark.timeout(300)
async def test_each_row_becomes_one_job_however_often_the_relay_is_killed(
    storage_url: str, database: str, db: sa.Engine
) -> None:
    assert await kills(2, 40, storage_url, database, db) == Counter(range(40))


@pytest.mark.torture
@pytest.mark.timeout(900)  # 200 starts of a relay: 20 to 60 s on two idle cores
async def test_each_row_becomes_one_job_under_two_hundred_kills(storage_url: str, database: str, db: sa.Engine) -> None:
    assert await kills(200, 1_000, storage_url, database, db) == Counter(range(1_000))
