"""The outbox: a job for each row that was committed, once and in order, on each engine and database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from corral import ConfigError, Corral, Encrypted, Job, JobState, NewJob, PayloadError, Queue, Storage, new_key
from corral.codec.chain import SEALED
from corral.errors import StorageFullError, StorageUnavailableError
from corral.outbox import Outbox, Relay
from corral.storage.passing import Passing
from corral.storage.port import Added
from corral.timing import Millis

from .shop import confirm, shop


async def jobs(app: Corral, queue: str = "orders") -> list[Job]:
    return list((await (await app.open_queue(queue)).page(limit=1_000, newest_first=False)).items)


async def numbers(app: Corral, queue: str = "orders") -> list[int]:
    """The orders, in the order in which they will be served."""
    return [json.loads(job.data)["order"] for job in await jobs(app, queue)]


def rows(db: sa.Engine, outbox: Outbox) -> int:
    with db.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(outbox.tables.jobs)) or 0


def put(db: sa.Engine, outbox: Outbox, *orders: int, queue: str = "orders", **options: Any) -> list[str]:
    with Session(db) as session, session.begin():
        return [outbox.add_sync(session, confirm(outbox.app, queue), {"order": order}, **options) for order in orders]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again, until it does."""
    while not await holds():  # noqa: ASYNC110  # it is in the database
        await asyncio.sleep(0.01)


async def completed(live: Queue, count: int) -> bool:
    return (await live.counts()).completed_total >= count


async def came(app: Corral, orders: list[int]) -> bool:
    return await numbers(app) == orders


async def true_later(value: bool) -> bool:
    return value


# -- producing ---------------------------------------------------------------------------------------------------------


async def test_what_is_committed_is_carried_in_order_and_the_rows_are_gone(
    app: Corral, outbox: Outbox, db: sa.Engine
) -> None:
    ids = put(db, outbox, 1, 2, 3)
    assert await numbers(app) == []
    assert await outbox.relay(db).turn() == 3
    assert [job.id for job in await jobs(app)] == ids
    assert await numbers(app) == [1, 2, 3]
    assert (rows(db, outbox), await outbox.relay(db).turn()) == (0, 0)


async def test_what_is_rolled_back_is_not(app: Corral, outbox: Outbox, db: sa.Engine, adb: AsyncEngine) -> None:
    with Session(db) as session:
        outbox.add_sync(session, confirm(app), {"order": 1})
        session.rollback()
    async with AsyncSession(adb) as session:
        await outbox.add(session, confirm(app), {"order": 2})
        await session.rollback()
    assert (await outbox.relay(db).turn(), await numbers(app)) == (0, [])


async def test_asynchronous_sessions_and_connections_do_it_too(app: Corral, outbox: Outbox, adb: AsyncEngine) -> None:
    async with AsyncSession(adb) as session, session.begin():
        await outbox.add(session, confirm(app), {"order": 1})
        await session.run_sync(outbox.add_jobs, [confirm(app).new({"order": 2})])
    async with adb.begin() as connection:
        await outbox.add(connection, confirm(app), {"order": 3})
    assert await outbox.relay(adb).turn() == 3
    assert await numbers(app) == [1, 2, 3]


async def test_the_options_of_add_arrive_and_a_delay_counts_from_the_producer(
    app: Corral, outbox: Outbox, db: sa.Engine
) -> None:
    with db.begin() as connection:
        [job_id] = [
            outbox.add_sync(connection, confirm(app), {"order": 1}, id="order-1", delay=60, priority=3, attempts=7)
        ]
        written = connection.scalar(sa.select(outbox.tables.jobs.c.created_at))
    await outbox.relay(db).turn()
    [job] = await jobs(app)
    assert (job_id, job.id, job.state, job.priority) == ("order-1", "order-1", JobState.DELAYED, 3)
    assert job.options.attempts == 7
    assert job.run_at is not None
    assert written is not None
    assert abs(job.run_at - written - 60_000) <= 5


async def test_a_row_that_says_another_job_is_meant_keeps_to_that(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    put(db, outbox, 1, id="same")
    put(db, outbox, 2, id="same")
    put(db, outbox, 3, dedup="one")
    put(db, outbox, 4, dedup="one")
    await outbox.relay(db).turn()
    assert sorted(await numbers(app)) == [1, 3]
    assert rows(db, outbox) == 0


async def test_a_bad_payload_is_refused_before_anything_is_written(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    with db.begin() as connection, pytest.raises(PayloadError):
        outbox.add_sync(connection, confirm(app), {"order": "x"})  # type: ignore[misc]

    @app.before_add
    def refuse(job: NewJob) -> None:
        raise PermissionError("not you")

    with db.begin() as connection, pytest.raises(PermissionError):
        outbox.add_sync(connection, confirm(app), {"order": 1})
    assert rows(db, outbox) == 0


async def test_each_colour_of_session_has_its_verb(
    app: Corral, outbox: Outbox, db: sa.Engine, adb: AsyncEngine
) -> None:
    async with AsyncSession(adb) as session:
        with pytest.raises(ConfigError, match=r"see also `outbox\.add`"):
            outbox.add_sync(session, confirm(app), {"order": 1})  # type: ignore[arg-type]
    with Session(db) as blocking, pytest.raises(ConfigError, match=r"see also `outbox\.add_sync`"):
        await outbox.add(blocking, confirm(app), {"order": 1})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs an Engine"):
        outbox.relay("sqlite:///shop.db")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="batch"):
        outbox.relay(db, batch=0)


async def test_rows_are_sealed_like_jobs(storage_url: str, db: sa.Engine) -> None:
    async with shop(storage_url, codecs=[Encrypted({"k": new_key()})]) as app:
        outbox = Outbox(app)
        put(db, outbox, 7_777_777)
        with db.connect() as connection:
            [body] = connection.scalars(sa.select(outbox.tables.jobs.c.body))
        assert "7777777" not in body
        assert json.loads(body)["data"].startswith(SEALED)
        await outbox.relay(db).turn()
        assert await numbers(app) == [7_777_777]


# -- carrying ----------------------------------------------------------------------------------------------------------


async def test_a_relay_beside_other_work_carries_what_comes(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    live = await app.open_queue("orders")
    async with outbox.relaying(db, every=0.02), asyncio.timeout(60), await app.worker(queues={"orders": 2}):
        await asyncio.to_thread(put, db, outbox, *range(20))
        await until(lambda: completed(live, 20))
    assert rows(db, outbox) == 0


async def test_a_batch_is_as_large_as_it_says(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    put(db, outbox, *range(7))
    relay = outbox.relay(db, batch=3)
    assert [await relay.turn() for _ in range(4)] == [3, 3, 1, 0]
    assert await numbers(app) == list(range(7))


async def test_several_relays_share_the_queues_and_carry_nothing_twice(
    app: Corral, outbox: Outbox, db: sa.Engine
) -> None:
    put(db, outbox, *range(60))
    relays = [outbox.relay(db, batch=5) for _ in range(4)]
    async with asyncio.timeout(60):
        while rows(db, outbox):
            await asyncio.gather(*(relay.turn() for relay in relays), return_exceptions=True)  # "database is locked"
    assert await numbers(app) == list(range(60))
    assert (await (await app.open_queue("orders")).counts()).waiting == 60


async def test_a_queue_that_another_relay_has_is_left_to_it(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    put(db, outbox, 1)
    first, second = outbox.relay(db), outbox.relay(db)
    assert await first._with(first._take, "orders")
    assert (await second.turn(), await first.turn(), rows(db, outbox)) == (0, 1, 0)


class Failing(Passing):
    """A store whose next `add` fails, before or after it happened."""

    def __init__(self, inner: Any, error: Exception, *, after: bool) -> None:
        super().__init__(inner)
        self.error: Exception | None = error
        self.after = after

    def sibling(self) -> Storage:
        return self.inner.sibling()

    async def add(self, jobs: Any, *, now: Millis | None = None) -> list[Added]:
        error, self.error = self.error, None
        if error is not None and not self.after:
            raise error
        added = await super().add(jobs, now=now)
        if error is not None:
            raise error
        return added


class Killed(BaseException):
    """Stands for the end of a relay's process."""


async def fail_once(app: Corral, relay: Relay, error: BaseException, *, after: bool) -> None:
    store = Failing(await app.open(), error, after=after)  # type: ignore[arg-type]
    app.open = lambda: asyncio.sleep(0, store)  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        await relay.turn()


@pytest.mark.parametrize("after", [False, True], ids=["before the job was added", "after it was"])
@pytest.mark.parametrize("error", [StorageUnavailableError("gone"), Killed()], ids=["answer lost", "killed"])
async def test_a_job_is_added_once_though_the_relay_did_not_hear_of_it(
    app: Corral, outbox: Outbox, db: sa.Engine, error: BaseException, after: bool
) -> None:
    put(db, outbox, 1, 2)
    await fail_once(app, outbox.relay(db), error, after=after)
    assert rows(db, outbox) == 2
    assert await outbox.relay(db).turn() == 2
    assert (await numbers(app), rows(db, outbox)) == ([1, 2], 0)


async def test_not_even_twice_when_the_job_has_run_and_is_gone(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    put(db, outbox, 1, keep_completed=0)
    await fail_once(app, outbox.relay(db), Killed(), after=True)
    live = await app.open_queue("orders")
    async with asyncio.timeout(60), await app.worker(queues={"orders": 1}):
        await until(lambda: completed(live, 1))
    assert await jobs(app) == []
    await outbox.relay(db).turn()
    assert (await jobs(app), rows(db, outbox), (await live.counts()).completed_total) == ([], 0, 1)


async def test_a_mark_too_old_to_be_sure_is_settled_by_the_job_or_set_aside(
    app: Corral, outbox: Outbox, db: sa.Engine
) -> None:
    put(db, outbox, 1)
    await fail_once(app, outbox.relay(db), Killed(), after=True)
    put(db, outbox, 2, queue="narrow")
    with db.begin() as connection:
        connection.execute(sa.update(outbox.tables.jobs).values(tried_at=1))
    await outbox.relay(db).turn()
    with Session(db) as session, session.begin():
        [aside] = outbox.aside(session)
        assert (aside.queue, aside.reason[:9]) == ("narrow", "uncertain")
        assert outbox.again(session, aside.id) == 1
    await outbox.relay(db).turn()
    assert (await numbers(app), await numbers(app, "narrow"), rows(db, outbox)) == ([1], [2], 0)


async def test_a_full_store_leaves_no_marks(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    put(db, outbox, 1)
    await fail_once(app, outbox.relay(db), StorageFullError("no room"), after=False)
    with db.connect() as connection:
        assert connection.scalars(sa.select(outbox.tables.jobs.c.tried_at)).all() == [None]


async def test_a_row_that_cannot_be_added_is_set_aside_and_the_others_go_on(
    app: Corral, outbox: Outbox, db: sa.Engine
) -> None:
    put(db, outbox, 1)
    put(db, outbox, 2, after=("orders", "nobody"))
    put(db, outbox, 3)
    with db.begin() as connection:
        connection.execute(
            sa.insert(outbox.tables.jobs).values(queue="orders", job_id="x", body="not json", created_at=0)
        )
    await outbox.relay(db).turn()
    assert await numbers(app) == [1, 3]
    with Session(db) as session, session.begin():
        refused, broken = sorted(outbox.aside(session), key=lambda one: one.job_id)
        assert "JobNotFoundError: job 'nobody'" in refused.reason
        assert "cannot be read" in broken.reason
        assert outbox.forget(session, refused.id, broken.id) == 2
    assert (await outbox.relay(db).turn(), rows(db, outbox)) == (0, 0)


async def test_a_full_queue_is_waited_for_in_order(app: Corral, outbox: Outbox, db: sa.Engine) -> None:
    await (await app.open()).configure("narrow", app.queues["narrow"].settings())
    put(db, outbox, 1, 2, 3, 4, 5, queue="narrow")
    relay = outbox.relay(db, batch=2)
    async with asyncio.timeout(60):
        while rows(db, outbox):
            await relay.turn()
    assert await numbers(app, "narrow") == [1, 2, 3, 4, 5]


async def test_a_database_that_is_away_is_waited_for(
    app: Corral, outbox: Outbox, db: sa.Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("corral.outbox.relay.PATIENCE", 0.01)
    outbox.metadata.drop_all(db)
    stop = asyncio.Event()
    relay = asyncio.create_task(outbox.relay(db, every=0.01).run(stop))
    async with asyncio.timeout(60):
        await until(lambda: true_later("the outbox waits" in caplog.text))
        await asyncio.to_thread(outbox.metadata.create_all, db)
        await asyncio.to_thread(put, db, outbox, 1)
        await until(lambda: came(app, [1]))
        stop.set()
        await relay


async def test_a_server_that_refuses_the_connection_is_waited_for(
    app: Corral, outbox: Outbox, db: sa.Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("corral.outbox.relay.PATIENCE", 0.01)
    put(db, outbox, 1)
    refusals = iter([ConnectionRefusedError(111, "refused"), ConnectionRefusedError()])

    @sa.event.listens_for(db, "do_connect")
    def refuse(*_: object) -> None:  # as asyncpg does: SQLAlchemy passes on what is no error of the driver's
        for error in refusals:
            raise error

    db.dispose()
    stop = asyncio.Event()
    relay = asyncio.create_task(outbox.relay(db, every=0.01).run(stop))
    async with asyncio.timeout(60):
        await until(lambda: came(app, [1]))
        stop.set()
        await relay
    assert caplog.text.count("the outbox waits") == 2


def test_the_tables_live_where_migrations_look_for_them() -> None:
    metadata = sa.MetaData()
    Outbox(shop("sqlite:///:memory:"), metadata=metadata, name="shop_outbox")
    assert sorted(metadata.tables) == ["shop_outbox", "shop_outbox_lease"]
