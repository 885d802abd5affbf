"""Jobs in a transaction of the application's own, on the store's SQLite file: there if and only if it commits."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

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

from .helpers import ROOT, working

Echo = JobDefinition[dict[str, int], int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
async def app(path: Path) -> AsyncIterator[Corral]:
    """An application whose store shares a file with the table of its orders."""
    app = shop(path)
    async with app:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        yield app


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
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM orders").fetchone()[0])


Transaction = Callable[[Path, Echo, bool], str]


def by_stdlib(path: Path, job: Echo, commit: bool) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.commit() if commit else connection.rollback()
    return job_id


def by_stdlib_with_the_job_first(path: Path, job: Echo, commit: bool) -> str:
    with closing(sqlite3.connect(path)) as connection:
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("INSERT INTO orders VALUES (1)")
        connection.commit() if commit else connection.rollback()
    return job_id


def by_stdlib_by_hand(path: Path, job: Echo, commit: bool) -> str:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("COMMIT" if commit else "ROLLBACK")
    return job_id


def by_apsw(path: Path, job: Echo, commit: bool) -> str:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)")
        job_id = job.add_in(connection, {"order": 1})
        connection.execute("COMMIT" if commit else "ROLLBACK")
    return job_id


def by_core(path: Path, job: Echo, commit: bool) -> str:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO orders VALUES (1)"))
        job_id = job.add_in(connection, {"order": 1})
        connection.commit() if commit else connection.rollback()
    engine.dispose()
    return job_id


def by_session(path: Path, job: Echo, commit: bool) -> str:
    engine = sa.create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        session.execute(sa.text("INSERT INTO orders VALUES (1)"))
        job_id = job.add_in(session, {"order": 1})
        session.commit() if commit else session.rollback()
    engine.dispose()
    return job_id


WAYS = [by_stdlib, by_stdlib_with_the_job_first, by_stdlib_by_hand, by_apsw, by_core, by_session]


@pytest.mark.parametrize("way", WAYS)
async def test_a_rollback_takes_the_job_with_it(app: Corral, path: Path, way: Transaction) -> None:
    way(path, confirm(app), False)
    assert (await waiting(app), orders(path)) == (0, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_commit_brings_the_job_and_it_runs(app: Corral, path: Path, way: Transaction) -> None:
    async with working(app):
        job_id = await asyncio.to_thread(way, path, confirm(app), True)
        assert await (await app.open_queue("orders")).result(job_id, timeout=30) == 1
    assert orders(path) == 1


@pytest.mark.parametrize("commit", [True, False])
async def test_an_asynchronous_session_goes_through_run_sync(app: Corral, path: Path, commit: bool) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with AsyncSession(engine) as session:
        await session.execute(sa.text("INSERT INTO orders VALUES (1)"))
        await session.run_sync(confirm(app).add_in, {"order": 1})
        await session.run_sync(app.add_in, confirm(app), {"order": 2}, delay=60)
        await (session.commit() if commit else session.rollback())
    await engine.dispose()
    counts = await (await app.open_queue("orders")).counts()
    assert (counts.waiting, counts.delayed, orders(path)) == ((1, 1, 1) if commit else (0, 0, 0))


async def test_nobody_sees_the_job_before_the_commit(app: Corral, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        job_id = confirm(app).add_in(connection, {"order": 1})
        live = await app.open_queue("orders")
        with pytest.raises(JobNotFoundError):
            await live.get(job_id)
        connection.commit()
        assert (await live.get(job_id)).state is JobState.WAITING


async def test_every_option_of_add_works_here_too(app: Corral, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        first = app.add_in(connection, confirm(app), {"order": 1}, id="order-1", priority=3, attempts=7)
        again = app.add_in(connection, confirm(app), {"order": 1}, id="order-1")
        child = confirm(app).add_in(connection, {"order": 2}, group="tenant", dedup="one", lifespan=60)
        kept_out = confirm(app).add_in(connection, {"order": 3}, dedup="one")
        later = confirm(app).add_in(connection, {"order": 4}, after=("orders", first))
        connection.commit()
    live = await app.open_queue("orders")
    assert (first, again, kept_out) == ("order-1", "order-1", child)
    found = await live.get(first)
    assert (found.priority, found.options.attempts) == (3, 7)
    assert (await live.get(child)).group == "tenant"
    assert (await live.get(later)).state is JobState.WAITING_CHILDREN
    async with working(app):
        assert await live.result(later, timeout=30) == 4


async def test_ids_stay_unique_beside_the_engines_own_adds(app: Corral, path: Path) -> None:
    def many() -> list[str]:
        ids = []
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            for number in range(50):
                ids.append(confirm(app).add_in(connection, {"order": number}))
                connection.commit()
        return ids

    async def own() -> list[str]:
        return [(await confirm(app).add({"order": number})).id for number in range(50)]

    found = await asyncio.gather(asyncio.to_thread(many), asyncio.to_thread(many), own(), own())
    ids = [job_id for some in found for job_id in some]
    assert len(set(ids)) == len(ids) == 200
    assert await waiting(app) == 200


async def test_a_worker_in_another_process_notices_the_commit(app: Corral, path: Path) -> None:
    program = (
        "import asyncio, sys; from tests.engine.test_transactions import shop; from pathlib import Path\n"
        "asyncio.run(shop(Path(sys.argv[1])).work())"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), env=environment)
    try:
        live = await app.open_queue("orders")
        async with asyncio.timeout(60):
            while not await live.storage.workers():
                await asyncio.sleep(0.02)
        job_id = await asyncio.to_thread(by_stdlib, path, confirm(app), True)
        assert await live.result(job_id, timeout=30) == 1
    finally:
        worker.terminate()
        await worker.wait()


async def test_a_process_that_dies_before_its_commit_leaves_nothing(app: Corral, path: Path) -> None:
    program = (
        "import os, signal, sqlite3, sys; from pathlib import Path\n"
        "from tests.engine.test_transactions import shop, confirm\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('INSERT INTO orders VALUES (1)')\n"
        "confirm(shop(Path(sys.argv[1]))).add_in(connection, {'order': 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), env=environment)
    assert await process.wait() == -signal.SIGKILL
    assert (await waiting(app), orders(path)) == (0, 0)
    assert by_stdlib(path, confirm(app), True) == "1"


async def test_what_is_refused_leaves_the_rest_of_the_transaction_as_it_was(path: Path) -> None:
    app = Corral(f"sqlite:///{path}")

    @app.queue("orders", add_limit=RateLimit(2, per=3_600)).job("confirm")
    async def confirming(data: dict[str, int]) -> None: ...

    async with app, app_settings(app):
        jobs = [confirming.new({"order": number}) for number in range(3)]
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER)")
            connection.execute("INSERT INTO orders VALUES (1)")
            with pytest.raises(QueueFullError):
                app.add_jobs_in(connection, jobs)
            with pytest.raises(PayloadError):
                confirming.add_in(connection, {"order": object()})  # type: ignore[dict-item]
            assert [added.id for added in app.add_jobs_in(connection, jobs[:2])] == ["1", "2"]
            connection.commit()
        assert (await waiting(app), orders(path)) == (2, 1)


class app_settings:  # noqa: N801  # reads as a statement
    """Store the declared limits, as a starting worker does."""

    def __init__(self, app: Corral) -> None:
        self._app = app

    async def __aenter__(self) -> None:
        for queue in self._app.queues.values():
            await (await self._app.open()).configure(queue.name, queue.settings())

    async def __aexit__(self, *_: object) -> None: ...


async def test_guards_codecs_and_enqueue_middleware_apply(path: Path) -> None:
    app = shop(path, codecs=[Encrypted(new_key())])

    @app.before_add
    def no_order_zero(job: NewJob) -> None:
        if '"order":0' in job.data:
            raise PermissionError("not you")

    async with app, connect(app.url) as raw:
        with closing(sqlite3.connect(path)) as connection:
            with pytest.raises(PermissionError):
                confirm(app).add_in(connection, {"order": 0})
            job_id = confirm(app).add_in(connection, {"order": 9})
            connection.commit()
        [job] = await raw.get("orders", [job_id])
        assert job is not None
        assert job.data.startswith(SEALED)
        async with working(app):
            assert await (await app.open_queue("orders")).result(job_id, timeout=30) == 9


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        yield connection


async def test_a_connection_on_another_file_is_refused(app: Corral, elsewhere: sqlite3.Connection) -> None:
    with pytest.raises(ConfigError, match=r"other\.db and the store on .*shop\.db"):
        confirm(app).add_in(elsewhere, {"order": 1})
    with closing(sqlite3.connect(":memory:")) as memory, pytest.raises(ConfigError, match="a database in memory"):
        confirm(app).add_in(memory, {"order": 1})


async def test_a_connection_that_commits_by_itself_is_refused(app: Corral, path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with closing(sqlite3.connect(path, isolation_level=None)) as one, closing(apsw.Connection(str(path))) as two:
        for connection in (one, two):
            with pytest.raises(ConfigError, match="in no transaction"):
                confirm(app).add_in(connection, {"order": 1})
    with engine.connect() as three, pytest.raises(ConfigError, match="AUTOCOMMIT"):
        confirm(app).add_in(three, {"order": 1})
    engine.dispose()
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
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.commit()
        with pytest.raises(StorageVersionError, match="no tables of corral yet"):
            confirm(app).add_in(connection, {"order": 1})
        connection.rollback()
        connection.execute("CREATE TABLE corral_meta (key TEXT, value)")
        connection.execute("INSERT INTO corral_meta VALUES ('schema', 0)")
        connection.commit()
        with pytest.raises(StorageVersionError, match="is of schema 0"):
            confirm(app).add_in(connection, {"order": 1})


@pytest.mark.parametrize(
    ("url", "why"), [("sqlite:///:memory:", "in memory"), ("redis://localhost:1/0", "a server")], ids=["memory", "redis"]
)
def test_a_store_that_is_no_file_is_refused(url: str, why: str, elsewhere: sqlite3.Connection) -> None:
    app = Corral(url)

    @app.queue("orders").job("confirm")
    async def confirming() -> None: ...

    with pytest.raises(ConfigError, match=why):
        confirming.add_in(elsewhere)


async def test_enqueue_middleware_that_waits_is_refused(app: Corral, path: Path) -> None:
    @app.enqueue_middleware
    async def slow(job: NewJob, call_next: Any) -> NewJob:
        await asyncio.sleep(0)
        made: NewJob = await call_next(job)
        return made

    with closing(sqlite3.connect(path)) as connection, pytest.raises(ConfigError, match="waits for something"):
        confirm(app).add_in(connection, {"order": 1})
