"""Jobs in a transaction of the application's own, on the store's SQLite file: there if and only if it commits.

What uses the standard library's SQLite runs in a process of its own: a process that has the store open has apsw's.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from corral import (
    ConfigError,
    Corral,
    Encrypted,
    JobDefinition,
    JobNotFoundError,
    JobState,
    NewJob,
    PayloadError,
    QueueFullError,
    RateLimit,
    connect,
    new_key,
)
from corral.codec.chain import SEALED
from corral.errors import StorageVersionError
from corral.options import QueueSettings
from tests.engine.helpers import working

T = TypeVar("T")
Echo = JobDefinition[dict[str, int], int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
async def app(path: Path) -> AsyncIterator[Corral]:
    """An application whose store shares a file with the table of its orders."""
    app = shop(path)
    async with app:
        with closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(60_000)
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        yield app


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Another process, which does not open the store."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def shop(path: Path, **options: Any) -> Corral:
    app = Corral(f"sqlite:///{path}", **options)

    @app.queue("orders").job("confirm")
    async def confirm(data: dict[str, int]) -> int:
        return data["order"]

    return app


def confirm(app: Corral) -> Echo:
    return app.definition("orders", "confirm")


async def waiting(app: Corral) -> int:
    return (await (await app.open_queue("orders")).counts()).waiting


def orders(path: Path) -> int:
    with closing(apsw.Connection(str(path))) as connection:
        return len(connection.execute("SELECT id FROM orders").fetchall())


Transaction = Callable[[Path, bool], str]


def by_stdlib(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.commit() if commit else connection.rollback()
    return job_id


def by_stdlib_with_the_job_first(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    with closing(sqlite3.connect(path)) as connection:
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("INSERT INTO orders VALUES (1)")
        connection.commit() if commit else connection.rollback()
    return job_id


def by_stdlib_by_hand(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("COMMIT" if commit else "ROLLBACK")
    return job_id


def by_apsw(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    with closing(apsw.Connection(str(path))) as connection:
        connection.set_busy_timeout(60_000)  # the worker writes, too
        connection.execute("BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("COMMIT" if commit else "ROLLBACK")
    return job_id


def by_core(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO orders VALUES (1)"))
        job_id = job.add_in(connection, {"order": 1})
        connection.commit() if commit else connection.rollback()
    engine.dispose()
    return job_id


def by_core_with_the_job_first(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        job_id = job.add_in(connection, {"order": 1})
        connection.execute(sa.text("INSERT INTO orders VALUES (1)"))
        connection.commit() if commit else connection.rollback()
    engine.dispose()
    return job_id


def by_session(path: Path, commit: bool) -> str:
    job = confirm(shop(path))
    engine = sa.create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        session.execute(sa.text("INSERT INTO orders VALUES (1)"))
        job_id = job.add_in(session, {"order": 1})
        session.commit() if commit else session.rollback()
    engine.dispose()
    return job_id


WAYS = [
    by_stdlib,
    by_stdlib_with_the_job_first,
    by_stdlib_by_hand,
    by_apsw,
    by_core,
    by_core_with_the_job_first,
    by_session,
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_rollback_takes_the_job_with_it(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor, way: Transaction
) -> None:
    await apart(elsewhere, way, path, False)
    assert (await waiting(app), orders(path)) == (0, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_commit_brings_the_job_and_it_runs(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor, way: Transaction
) -> None:
    async with working(app):
        job_id = await apart(elsewhere, way, path, True)
        assert await (await app.open_queue("orders")).result(job_id, timeout=30) == 1
    assert orders(path) == 1


async def apart(pool: ProcessPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
    """Run a function of this module in the other process."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def by_asynchronous_session(path: Path, commit: bool) -> None:
    async def work() -> None:
        app = shop(path)
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with AsyncSession(engine) as session:
            await session.run_sync(confirm(app).add_in, {"order": 1})
            await session.execute(sa.text("INSERT INTO orders VALUES (1)"))
            await session.run_sync(app.add_in, confirm(app), {"order": 2}, delay=60)
            await (session.commit() if commit else session.rollback())
        await engine.dispose()

    asyncio.run(work())


@pytest.mark.parametrize(("commit", "there"), [(True, (1, 1, 1)), (False, (0, 0, 0))])
async def test_an_asynchronous_session_goes_through_run_sync(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor, commit: bool, there: tuple[int, int, int]
) -> None:
    await apart(elsewhere, by_asynchronous_session, path, commit)
    counts = await (await app.open_queue("orders")).counts()
    assert (counts.waiting, counts.delayed, orders(path)) == there


async def test_in_the_process_of_the_store_an_apsw_connection_does_it(app: Corral, path: Path) -> None:
    async with working(app):
        job_id = await asyncio.to_thread(by_apsw, path, True)
        assert await (await app.open_queue("orders")).result(job_id, timeout=30) == 1
    assert await waiting(app) == 0


@contextmanager
def transaction(path: Path) -> Iterator[apsw.Connection]:
    """A connection in a transaction, which is committed."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.set_busy_timeout(60_000)
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


async def test_nobody_sees_the_job_before_the_commit(app: Corral, path: Path) -> None:
    live = await app.open_queue("orders")
    with transaction(path) as connection:
        job_id = confirm(app).add_in(connection, {"order": 1})
        with pytest.raises(JobNotFoundError):
            await live.get(job_id)
    assert (await live.get(job_id)).state is JobState.WAITING


async def test_every_option_of_add_works_here_too(app: Corral, path: Path) -> None:
    with transaction(path) as connection:
        first = app.add_in(connection, confirm(app), {"order": 1}, id="order-1", priority=3, attempts=7)
        again = app.add_in(connection, confirm(app), {"order": 1}, id="order-1")
        child = confirm(app).add_in(connection, {"order": 2}, group="tenant", dedup="one", lifespan=60)
        kept_out = confirm(app).add_in(connection, {"order": 3}, dedup="one")
        later = confirm(app).add_in(connection, {"order": 4}, after=("orders", first))
    live = await app.open_queue("orders")
    assert (first, again, kept_out) == ("order-1", "order-1", child)
    found = await live.get(first)
    assert (found.priority, found.options.attempts) == (3, 7)
    assert (await live.get(child)).group == "tenant"
    assert (await live.get(later)).state is JobState.WAITING_CHILDREN
    async with working(app):
        assert await live.result(later, timeout=30) == 4


def by_stdlib_with_every_option(path: Path) -> list[str]:
    job = confirm(shop(path))
    with closing(sqlite3.connect(path)) as connection:
        first = job.add_in(connection, {"order": 1}, id="order-1", priority=3, attempts=7)
        second = job.add_in(connection, {"order": 2}, group="tenant", dedup="one")
        third = job.add_in(connection, {"order": 3}, dedup="one")
        last = job.add_in(connection, {"order": 4}, after=("orders", first))
        connection.commit()
    return [first, second, third, last]


async def test_the_standard_librarys_sqlite_can_do_all_of_it(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor
) -> None:
    first, second, third, last = await apart(elsewhere, by_stdlib_with_every_option, path)
    live = await app.open_queue("orders")
    assert third == second
    assert (await live.get(second)).group == "tenant"
    assert (await live.get(last)).state is JobState.WAITING_CHILDREN
    async with working(app):
        assert await live.result(last, timeout=30) == 4
    assert (await live.get(first)).state is JobState.COMPLETED


def many(path: Path) -> list[str]:
    job, ids = confirm(shop(path)), []
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        for number in range(50):
            ids.append(job.add_in(connection, {"order": number}))
            connection.commit()
    return ids


async def test_ids_stay_unique_beside_the_engines_own_adds(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor
) -> None:
    def in_here() -> list[str]:
        ids = []
        for number in range(50):
            with transaction(path) as connection:
                ids.append(confirm(app).add_in(connection, {"order": number}))
        return ids

    async def own() -> list[str]:
        return [(await confirm(app).add({"order": number})).id for number in range(50)]

    found = await asyncio.gather(apart(elsewhere, many, path), asyncio.to_thread(in_here), own(), own())
    ids = [job_id for some in found for job_id in some]
    assert len(set(ids)) == len(ids) == 200
    assert await waiting(app) == 200


def dies(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO orders VALUES (1)")
    confirm(shop(path)).add_in(connection, {"order": 1})
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_process_that_dies_before_its_commit_leaves_nothing(app: Corral, path: Path) -> None:
    process = get_context("spawn").Process(target=dies, args=(path,))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    assert (await waiting(app), orders(path)) == (0, 0)
    assert by_apsw(path, True) == "1"


async def test_what_is_refused_leaves_the_rest_of_the_transaction_as_it_was(app: Corral, path: Path) -> None:
    await (await app.open()).configure("orders", QueueSettings(add_limit=RateLimit(2, per=3_600)))
    jobs = [confirm(app).new({"order": number}) for number in range(3)]
    with transaction(path) as connection:
        connection.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(QueueFullError):
            app.add_jobs_in(connection, jobs)
        with pytest.raises(PayloadError):
            confirm(app).add_in(connection, {"order": object()})  # type: ignore[dict-item]
        assert [added.id for added in app.add_jobs_in(connection, jobs[:2])] == ["1", "2"]
    assert (await waiting(app), orders(path)) == (2, 1)


async def test_guards_codecs_and_enqueue_middleware_apply(path: Path) -> None:
    app = shop(path, codecs=[Encrypted(new_key())])

    @app.before_add
    def no_order_zero(job: NewJob) -> None:
        if '"order":0' in job.data:
            raise PermissionError("not you")

    async with app, connect(app.url) as raw:
        with transaction(path) as connection:
            with pytest.raises(PermissionError):
                confirm(app).add_in(connection, {"order": 0})
            job_id = confirm(app).add_in(connection, {"order": 9})
        [job] = await raw.get("orders", [job_id])
        assert job is not None
        assert job.data.startswith(SEALED)
        async with working(app):
            assert await (await app.open_queue("orders")).result(job_id, timeout=30) == 9


# -- what is refused ---------------------------------------------------------------------------------------------------


async def test_another_copy_of_sqlite_is_refused_in_a_process_that_has_the_store_open(app: Corral, path: Path) -> None:
    with (
        closing(sqlite3.connect(path)) as one,
        pytest.raises(ConfigError, match=r"has the store .* open: two copies of SQLite"),
    ):
        confirm(app).add_in(one, {"order": 1})
    assert await waiting(app) == 0


def opens_afterwards(path: Path) -> str:
    by_stdlib(path, True)

    async def work() -> None:
        async with shop(path):
            pass

    try:
        asyncio.run(work())
    except ConfigError as error:
        return str(error)
    return ""


async def test_the_store_is_not_opened_in_a_process_where_the_other_copy_is_in_use(app: Corral, path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        told = await apart(pool, opens_afterwards, path)
    assert "has added jobs to" in told
    assert "through sqlite3" in told


@pytest.fixture
def other(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(tmp_path / "other.db"))) as connection:
        connection.execute("BEGIN")
        yield connection


async def test_a_connection_on_another_file_is_refused(app: Corral, other: apsw.Connection) -> None:
    with pytest.raises(ConfigError, match=r"other\.db and the store on .*shop\.db"):
        confirm(app).add_in(other, {"order": 1})
    with closing(sqlite3.connect(":memory:")) as memory, pytest.raises(ConfigError, match="a database in memory"):
        confirm(app).add_in(memory, {"order": 1})


def without_transaction(path: Path) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    told = []
    with closing(sqlite3.connect(path, isolation_level=None)) as one, engine.connect() as two:
        for connection in (one, two):
            try:
                confirm(shop(path)).add_in(connection, {"order": 1})
            except ConfigError as error:
                told.append(str(error))
    engine.dispose()
    return told


async def test_a_connection_that_commits_by_itself_is_refused(
    app: Corral, path: Path, elsewhere: ProcessPoolExecutor
) -> None:
    told = await apart(elsewhere, without_transaction, path)
    assert ["in no transaction" in one for one in told] == [True, True]
    with closing(apsw.Connection(str(path))) as connection, pytest.raises(ConfigError, match="in no transaction"):
        confirm(app).add_in(connection, {"order": 1})
    assert await waiting(app) == 0


async def test_what_is_no_connection_is_refused(app: Corral, path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigError, match="run_sync"):
            confirm(app).add_in(session, {"order": 1})
    await engine.dispose()
    with pytest.raises(ConfigError, match="not str"):
        confirm(app).add_in("shop.db", {"order": 1})


def test_a_file_without_tables_and_one_of_another_version_are_refused(path: Path) -> None:
    app = shop(path)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER); BEGIN")
        with pytest.raises(StorageVersionError, match="no tables of corral yet"):
            confirm(app).add_in(connection, {"order": 1})
        connection.execute("CREATE TABLE corral_meta (key TEXT, value); INSERT INTO corral_meta VALUES ('schema', 0)")
        with pytest.raises(StorageVersionError, match="is of schema 0"):
            confirm(app).add_in(connection, {"order": 1})


@pytest.mark.parametrize(
    ("url", "why"),
    [("sqlite:///:memory:", "in memory"), ("redis://localhost:1/0", "a server")],
    ids=["memory", "redis"],
)
def test_a_store_that_is_no_file_is_refused(url: str, why: str, other: apsw.Connection) -> None:
    app = Corral(url)

    @app.queue("orders").job("confirm")
    async def confirming() -> None: ...

    with pytest.raises(ConfigError, match=why):
        confirming.add_in(other)


async def test_enqueue_middleware_that_waits_is_refused(app: Corral, path: Path) -> None:
    @app.enqueue_middleware
    async def slow(job: NewJob, call_next: Callable[[NewJob], Awaitable[NewJob]]) -> NewJob:
        await asyncio.sleep(0)
        return await call_next(job)

    with transaction(path) as connection, pytest.raises(ConfigError, match="waits for something"):
        confirm(app).add_in(connection, {"order": 1})
