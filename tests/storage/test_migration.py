"""A file that version 1 wrote: it is brought up to date when it is opened, and everything in it goes on.

`version_1.sql` is such a file as text, with jobs in every state, as that version left it while two jobs were running.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from corral.errors import StorageVersionError
from corral.job import After, JobState
from corral.options import Dedup, Exponential, Keep, ParentPolicy, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Failure
from corral.storage.connect import connect
from corral.storage.insight import Sample, Tier
from corral.storage.port import Storage, Token
from corral.storage.records import EntryChange
from corral.storage.sqlite import file
from corral.storage.sqlite.file import SCHEMA

from .helpers import QUEUE, T0, Run, add, end, new_job, run_through, served, start, start_one, tally, the, these

TEXT = (Path(__file__).parent / "version_1.sql").read_text()
LATER = T0 + 1_000
SCRIPTS = Path(file.__file__).parent / "sql"


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TEXT)
    return path


@pytest.fixture
async def old(old_file: Path) -> AsyncIterator[Storage]:
    async with connect(f"sqlite:///{old_file}") as store:
        yield store


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's columns and every index, as the file has them."""
    with closing(sqlite3.connect(path)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        tables = {name: db.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        )
        return {**tables, "indexes": indexes.fetchall()}


async def test_an_old_file_becomes_like_a_new_one(old_file: Path, tmp_path: Path) -> None:
    for path in (old_file, tmp_path / "new.db"):
        async with connect(f"sqlite:///{path}"):
            pass
    assert columns(old_file) == columns(tmp_path / "new.db")


async def test_a_file_of_each_version_becomes_like_a_new_one(tmp_path: Path) -> None:
    steps = [(SCRIPTS / f"{name}.sql").read_text() for name in ("schema", *(f"to_{n}" for n in range(2, SCHEMA + 1)))]
    async with connect(f"sqlite:///{tmp_path / 'new.db'}"):
        pass
    for version in range(1, SCHEMA + 1):
        path = tmp_path / f"{version}.db"
        with closing(sqlite3.connect(path)) as db:
            db.executescript("\n".join(steps[:version]))
            db.execute("PRAGMA user_version = 7")  # somebody's, and left alone
        async with connect(f"sqlite:///{path}") as store:
            assert await store.write_entries("mark", [EntryChange(id="a", text="x")], now=LATER) == [1]
            await add(store, new_job("a"))
        assert columns(path) == columns(tmp_path / "new.db")


async def test_jobs_of_every_state_are_there(old: Storage) -> None:
    counts = await tally(old)
    assert (counts.waiting, counts.active, counts.delayed, counts.waiting_children) == (5, 2, 2, 1)
    assert (counts.completed, counts.failed, counts.completed_total, counts.failed_total) == (1, 1, 1, 1)
    states = {JobState(state): {job.id for job in (await old.page(QUEUE, [state])).items} for state in JobState}
    assert states == {
        JobState.WAITING: {"urgent", "plain", "slow-2", "8", "low"},
        JobState.DELAYED: {"tries", "later"},
        JobState.ACTIVE: {"runs", "slow-1"},
        JobState.WAITING_CHILDREN: {"parent"},
        JobState.COMPLETED: {"done"},
        JobState.FAILED: {"failed"},
    }
    tries = await the(old, "tries")
    assert (tries.options.backoff, tries.traces, tries.attempts_made) == (Exponential(2), ("trace", "trace 2"), 2)
    assert (tries.group, tries.dedup_id, tries.fingerprint) == (None, None, None)
    assert (await the(old, "runs")).progress == "40"
    assert (await old.logs(QUEUE, "plain")).items == ("one", "two")


async def test_settings_notes_schedules_and_events_are_there(old: Storage) -> None:
    infos = {info.name: info for info in await old.queues()}
    mail = infos[QUEUE]
    assert (mail.rate_limit, mail.concurrency, mail.keep_failed) == (RateLimit(40, per=5), 50, Keep(count=9))
    assert (mail.name_concurrency, mail.more_limits, mail.held_until) == ({"slow": 1}, (), None)
    assert infos["kids"].pause_reason == "night"
    assert await old.remember(QUEUE, "sent:1", now=LATER) == "yes"
    assert [schedule.key for schedule in (await old.schedules()).items] == ["daily"]
    events, _ = await old.events(QUEUE, after="")
    assert [event.type.value for event in events[:16]] == [
        "added", "added", "added", "active", "active", "active", "drained", "completed", "failed", "retrying",
        "active", "drained", "retrying", "idle", "added", "active",
    ]  # fmt: skip
    assert [event.type.value for event in events[-7:]] == [
        "active", "active", "released", "released", "added", "delayed", "added"
    ]  # fmt: skip
    assert len(await old.metrics(QUEUE, since=0, until=LATER)) == 1


async def test_jobs_go_on_where_they_stood(old: Storage) -> None:
    runs = {job.id: Run(job, Token(token)) for job, token in zip(
        await old.get(QUEUE, ["runs", "slow-1"]), ("t3", "t4"), strict=True) if job is not None}  # fmt: skip
    assert await served(old, now=LATER) == ["urgent", "plain", "8", "low"]
    assert not (await end(old, runs["slow-1"], Completed(), now=LATER)).refused
    assert await served(old, now=LATER) == ["slow-2"]
    recovered = await old.recover(QUEUE, now=T0 + 3_600_000)
    assert set(recovered.requeued) == {"runs", "urgent", "plain", "8", "low", "slow-2"}
    again = await served(old, now=T0 + 3_600_000)
    assert set(again) == {"runs", "urgent", "plain", "8", "low", "slow-2", "tries", "later"}


async def test_a_parent_hears_of_its_last_child(old: Storage) -> None:
    await old.configure("kids", QueueSettings(paused=False), now=LATER)
    await run_through(old, Completed('"too"'), queue="kids", now=LATER)
    assert (await old.children(QUEUE, "parent")).completed == {"kid-done": '"grown"', "kid-open": '"too"'}
    assert (await the(old, "parent")).state is JobState.WAITING


async def test_what_is_new_works_on_old_jobs(old: Storage) -> None:
    await add(
        old,
        new_job("d1", dedup=Dedup("x"), delay_ms=9_000), new_job("d2", dedup=Dedup("x")),
        new_job("a1", after=(After(QUEUE, "plain"), After(QUEUE, "done"))),
        new_job("a2", after=(After(QUEUE, "failed", ParentPolicy.IGNORE),), priority=1),
        now=LATER,
    )  # fmt: skip
    assert (await the(old, "a1")).pending_children == 1
    run = await start_one(old, now=LATER)
    assert run.job.id == "a2"
    await end(old, run, Failed("no", failure=Failure("kind", "T", "m"), adds=(new_job("more"),)), now=LATER)
    assert [group.fingerprint for group in (await old.failures(QUEUE)).items] == ["kind"]
    assert await old.deduplication(QUEUE, "x", now=LATER) == "d1"
    await old.record(QUEUE, [Sample(at=LATER, name="n", completed=1)], now=LATER)
    assert len(await old.series(QUEUE, Tier.DAY, since=0, until=LATER)) == 1
    assert await old.retry(QUEUE, these("failed"), after_ms=5, now=LATER) == ["failed"]
    for run in await start(old, 100, now=LATER):
        await end(old, run, Completed(), now=LATER)
    assert (await the(old, "a1")).state is JobState.WAITING


async def test_numbers_are_not_given_twice(old: Storage) -> None:
    [number] = await add(old, new_job(), now=LATER)
    assert int(number) == 13


async def test_many_open_an_old_file_at_once(old_file: Path) -> None:
    async def open_it() -> int:
        async with connect(f"sqlite:///{old_file}") as store:
            return (await tally(store)).waiting

    assert await asyncio.gather(*(open_it() for _ in range(6))) == [5] * 6


async def test_an_old_file_stays_old_when_it_cannot_be_brought_up_to_date(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as db:
        db.execute("UPDATE corral_meta SET value = 99 WHERE key = 'schema'")
        db.commit()
    with pytest.raises(StorageVersionError, match="newer corral"):
        async with connect(f"sqlite:///{old_file}"):
            pass
    with closing(sqlite3.connect(old_file)) as db:
        assert "edges" not in {row[1] for row in db.execute("PRAGMA table_info(corral_job)")}
