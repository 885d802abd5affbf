"""What a close look at the SQLite engine turned up: calls that hung, threads that died, commits that stood still."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from corral.errors import PayloadError, StorageError, StorageUnavailableError
from corral.event import Event, EventType
from corral.job import JobState
from corral.options import JobOptions
from corral.schedule import Every, Schedule
from corral.storage.port import Storage
from corral.storage.sqlite import claim, core, ending, settle, writer
from corral.storage.sqlite.core import Core
from corral.storage.sqlite.file import connect as connection
from corral.storage.sqlite.file import migrate
from corral.storage.sqlite.store import SqliteStorage
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import parse
from corral.storage.sqlite.writer import Database

from .helpers import QUEUE, T0, add, ids_of, new_job, tally, the, wish

#: A test that waits this long has failed.
PATIENCE = 10.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "corral.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteStorage]:
    async with SqliteStorage(f"sqlite:///{file}") as store:
        yield store


@pytest.fixture
async def opened(file: Path) -> AsyncIterator[Core]:
    core = Core(parse(f"sqlite:///{file}"))
    core.open()
    yield core
    core.close()


def alter(file: Path, sql: str) -> None:
    """Do to the file what another version, or another program, might."""
    db = apsw.Connection(str(file))
    db.execute(sql)
    db.close()


# -- closing and opening -----------------------------------------------------------------------------------------------


async def busy(storage: Storage) -> None:
    """Somebody who never stops asking."""
    while True:
        await storage.add([new_job()])
        await storage.counts([QUEUE])


async def test_a_call_that_is_under_way_while_the_store_closes_is_answered_or_refused(file: Path) -> None:
    for _ in range(10):
        async with SqliteStorage(f"sqlite:///{file}") as store:
            callers = [asyncio.create_task(busy(store)) for _ in range(20)]
            for _ in range(50):
                await asyncio.sleep(0)
        done, pending = await asyncio.wait(callers, timeout=PATIENCE)
        assert not pending
        assert {type(caller.exception()) for caller in done} == {StorageUnavailableError}


async def test_whoever_sleeps_while_the_store_closes_wakes(file: Path) -> None:
    async with SqliteStorage(f"sqlite:///{file}") as store:
        sleeper = asyncio.create_task(store.wait([QUEUE], timeout=60))
        reader = asyncio.create_task(store.events(QUEUE, after="", timeout=60))
        for _ in range(3):
            await store.counts([QUEUE] * 20)
    async with asyncio.timeout(PATIENCE):
        assert await sleeper
        with pytest.raises(StorageUnavailableError):
            await reader


async def test_closing_once_too_often_changes_nothing(file: Path) -> None:
    store = SqliteStorage(f"sqlite:///{file}")
    async with store:
        await store.add([new_job()])
    await store.__aexit__(None, None, None)
    async with store, store:
        assert sum(thread.name == "corral-sqlite-w" for thread in threading.enumerate()) == 1
    with pytest.raises(StorageUnavailableError):
        await tally(store)


async def test_a_store_that_could_not_be_opened_leaves_nothing_behind(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> None:
        raise StorageError("too many open files")

    monkeypatch.setattr(core, "Notice", fails)
    store = SqliteStorage(f"sqlite:///{file}")
    with pytest.raises(StorageError, match="too many open files"):
        await store.__aenter__()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("corral-sqlite")] == []
    monkeypatch.undo()
    async with store:
        await store.add([new_job()])


# -- calls that fail ---------------------------------------------------------------------------------------------------


def innocent(unit: Unit) -> int:
    """A call that has nothing wrong with it."""
    return unit.queue(QUEUE).pk


def mistaken(_: Unit) -> None:
    """A call with a mistake of ours in it."""
    raise AssertionError("a mistake")


async def test_a_mistake_in_one_call_is_told_to_its_caller_and_the_others_go_on(opened: Core) -> None:
    calls = [opened.write(mistaken), *(opened.write(innocent) for _ in range(3))]
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [AssertionError, int, int, int]


async def test_a_group_of_which_every_second_call_fails_is_not_run_again_for_each(opened: Core) -> None:
    runs: list[int] = []

    def good(_: Unit) -> None:
        runs.append(1)

    calls = [opened.write(work) for _ in range(100) for work in (good, mistaken)]
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), AssertionError] * 100
    assert len(runs) <= 100 * 2  # 5,050 when the group begins anew after each failure


async def test_an_event_that_cannot_be_stored_harms_nobody_else(store: Storage) -> None:
    bad = Event(type=EventType.ADDED, queue=QUEUE, at=1, name="half a \ud800 pair")
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(
            store.emit([bad]), *(store.add([new_job()] * 11) for _ in range(3)), return_exceptions=True
        )
    assert [isinstance(answer, ValueError) for answer in answers] == [True, False, False, False]
    assert (await tally(store)).waiting == 33


async def test_a_value_that_sqlite_refuses_is_a_payload_error(store: Storage) -> None:
    with pytest.raises(PayloadError, match="the store cannot hold this"):
        await store.add([replace(new_job(), name=None)])
    await store.add([new_job()])


async def test_a_connection_that_cannot_be_made_again_is_tried_with_the_next_call(
    opened: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_disk(_: Unit) -> None:
        raise apsw.IOError("a failed fsync")

    def refused(_: Database) -> apsw.Connection:
        raise StorageError("it cannot be opened")

    with pytest.raises(StorageUnavailableError, match="a failed fsync"):
        await opened.write(broken_disk)
    monkeypatch.setattr(Database, "_connect", refused)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StorageError, match="it cannot be opened"):
            await opened.write(innocent)
        monkeypatch.undo()
        assert await opened.write(innocent) == 1


@pytest.mark.parametrize("ending", ["", "-wal"])
async def test_a_file_that_is_taken_away_under_the_store_takes_no_job_with_it(
    store: Storage, file: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("corral.storage.sqlite.file.LOOK_SECONDS", 0.0)
    await store.add([new_job()])
    taken = Path(f"{file}{ending}")
    taken.rename(f"{taken}.away")
    async with asyncio.timeout(PATIENCE):
        for jobs in ([new_job()], [new_job()] * 20):
            with pytest.raises(StorageError, match="moved, deleted or replaced"):
                await store.add(jobs)
    assert not taken.exists()
    Path(f"{taken}.away").rename(taken)
    await store.add([new_job()])
    assert (await tally(store)).waiting == 2


# -- what cannot be read -----------------------------------------------------------------------------------------------


async def test_a_job_that_cannot_be_read_fails_and_those_behind_it_run(store: Storage, file: Path) -> None:
    await add(store, new_job("bad", options=JobOptions(attempts=3)), new_job("good"))
    alter(file, """UPDATE corral_job SET options = '{"attempts":"many"}' WHERE id = 'bad'""")
    assert ids_of(await store.claim(QUEUE, wish(2), now=T0)) == ["good"]
    bad = await the(store, "bad")
    assert (bad.state, bad.options) == (JobState.FAILED, JobOptions())
    assert "cannot be read" in str(bad.failed_reason)
    counts = await tally(store)
    assert (counts.active, counts.failed) == (1, 1)
    assert (await store.page(QUEUE, [JobState.FAILED])).total == 1


async def test_a_schedule_that_cannot_be_read_can_be_replaced(store: Storage, file: Path) -> None:
    schedule = Schedule(key="k", queue=QUEUE, name="n", timing=Every(60), next_at=T0)
    await store.put_schedules([schedule], now=T0)
    alter(file, "UPDATE corral_schedule SET body = replace(body, 'every', 'never')")
    assert await store.fire_schedule(QUEUE, "k", slot=T0, jobs=[], next_at=None, now=T0) is None
    assert await store.put_schedules([schedule], now=T0) == [schedule]
    assert (await store.schedules()).items == (schedule,)


# -- commits that nobody waited for ------------------------------------------------------------------------------------


async def test_a_commit_of_another_process_that_was_noticed_for_others_is_not_slept_through(
    store: Storage, file: Path
) -> None:
    async with SqliteStorage(f"sqlite:///{file}") as other, asyncio.timeout(PATIENCE):
        await store.add([new_job(queue="news")])
        _, cursor = await store.events("news", after="$")
        reader = asyncio.create_task(store.events("news", after=cursor, timeout=60))
        for _ in range(3):
            await store.counts(["news"] * 20)  # behind the reader's own look: it sleeps now
        assert (await store.claim(QUEUE, wish(), now=T0)).jobs == ()
        await other.add([new_job(), new_job(queue="news")])
        assert (await reader)[0]  # the watcher has seen the commit
        assert await store.wait([QUEUE], timeout=60)


async def test_a_queue_in_which_nothing_moved_is_not_woken_by_the_work_of_another(store: Storage, file: Path) -> None:
    async with SqliteStorage(f"sqlite:///{file}") as other, asyncio.timeout(PATIENCE):
        await store.add([new_job(queue="later", delay_ms=60_000)])
        await store.claim("later", wish())
        assert await store.wait(["later"], timeout=0.2) in (True, False)  # the watcher has seen it as it is
        await store.claim("later", wish())
        sleeper = asyncio.create_task(store.wait(["later"], timeout=60))
        _, cursor = await store.events(QUEUE, after="$")
        for _ in range(3):
            await other.add([new_job()])
            events, cursor = await store.events(QUEUE, after=cursor, timeout=60)
            assert events
        assert not sleeper.done()
        await other.add([new_job(queue="later", delay_ms=1_000)])
        assert await sleeper


# -- standing still ----------------------------------------------------------------------------------------------------


async def test_a_reader_that_stays_does_not_stop_every_commit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(writer, "RESTART_SECONDS", 0.01)
    async with SqliteStorage(f"sqlite:///{file}") as store:
        await store.add([new_job()])
        reader = apsw.Connection(str(file))
        reader.execute("BEGIN; SELECT count(*) FROM corral_job").fetchall()
        async with asyncio.timeout(PATIENCE):  # one commit took 5 s: the busy time-out, at each of them
            for _ in range(200):
                await store.add([new_job(data='"' + "x" * 5_000 + '"')])
        reader.close()
        await store.add([new_job()])
        assert (await tally(store)).waiting == 202


@pytest.mark.parametrize(
    "sql",
    [claim._BEST, claim._DUE, claim._TAKE, settle.LOOK, settle._COMPLETE_ALL, ending._OLDEST, ending._OLDER],
)
def test_no_hot_query_reads_or_sorts_more_than_it_answers(sql: str) -> None:
    db = connection(parse("sqlite:///:memory:"))
    migrate(db, ":memory:")
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, (1,) * sql.count("?"))]
    db.close()
    assert [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN corral")] == []
    by_key = "pk IN carray" in sql
    assert plan[0].startswith("SEARCH corral_job USING " + ("INTEGER PRIMARY KEY" if by_key else "INDEX"))
