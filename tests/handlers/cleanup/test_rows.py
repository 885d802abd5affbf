"""Old rows of the application's tables: on SQLite and PostgreSQL."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral.errors import ConfigError
from corral.handlers.cleanup.outcome import CleanupError, Tally
from corral.handlers.cleanup.rows import RowOrder, remove_rows
from corral.handlers.cleanup.rules import RowRule
from corral.handlers.kit.database import Database

NOW_MS = 1_800_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
METADATA = sa.MetaData()
TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("note", sa.LargeBinary),
)
SESSIONS = sa.Table(
    "sessions",
    METADATA,
    sa.Column("person", sa.String(40), primary_key=True),
    sa.Column("device", sa.String(40), primary_key=True),
    sa.Column("seen_ms", sa.BigInteger),
    sa.Column("seen_s", sa.BigInteger),
    sa.Column("seen_naive", sa.DateTime),
    sa.Column("seen_on", sa.Date),
)
BARE = sa.Table("bare", METADATA, sa.Column("at", sa.BigInteger), sa.Column("text", sa.Text))


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    async with Database(app_database) as made:
        async with made.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        yield made


async def add_tokens(database: Database, count: int, *, expired: int) -> None:
    """Tokens of which the first ones expired, an hour apart."""
    rows = [{"id": n, "expires_at": NOW + timedelta(hours=n - expired), "note": b"x"} for n in range(count)]
    async with database.begin() as connection:
        await connection.execute(sa.insert(TOKENS), rows)


async def ids(database: Database) -> list[int]:
    async with database.connect() as connection:
        return list((await connection.execute(sa.select(TOKENS.c.id).order_by(TOKENS.c.id))).scalars())


async def run(
    database: Database, rule: RowRule, *, limit: int = 10_000, dry_run: bool = False, said: list[str] | None = None
) -> Tally:
    order = RowOrder(rule, NOW_MS - rule.older_ms, limit, dry_run)
    return await remove_rows(order, database, ([] if said is None else said).append)


@pytest.mark.mission("M-GL-26")
async def test_expired_rows_go_and_the_others_stay(database: Database) -> None:
    await add_tokens(database, 10, expired=4)
    async with database.begin() as connection:
        await connection.execute(sa.insert(TOKENS), [{"id": 99, "expires_at": None}])
    tally = await run(database, RowRule("expired-tokens", TOKENS.c.expires_at))
    assert (tally.removed, tally.more, await ids(database)) == (4, False, [4, 5, 6, 7, 8, 9, 99])


async def test_rows_may_stay_for_a_while_after_their_time(database: Database) -> None:
    await add_tokens(database, 10, expired=4)
    await run(database, RowRule("expired-tokens", TOKENS.c.expires_at, older_than=timedelta(hours=2)))
    assert (await ids(database))[0] == 2


@pytest.mark.parametrize("column", ["seen_ms", "seen_s", "seen_naive", "seen_on"])
async def test_a_column_may_hold_numbers_naive_instants_or_days(database: Database, column: str) -> None:
    def row(device: str, ago: timedelta) -> dict[str, object]:
        at = NOW - ago
        seconds = int(at.timestamp())
        return {
            "person": "ann", "device": device, "seen_ms": seconds * 1000, "seen_s": seconds,
            "seen_naive": at.replace(tzinfo=None), "seen_on": at.date(),
        }  # fmt: skip

    async with database.begin() as connection:
        await connection.execute(
            sa.insert(SESSIONS), [row("old", timedelta(40)), row("young", timedelta(20)), row("now", timedelta(0))]
        )
    rule = RowRule(
        "sessions", SESSIONS.c[column], older_than=timedelta(30), unit="s" if column == "seen_s" else "ms", batch=1
    )
    assert (await run(database, rule)).removed == 1
    async with database.connect() as connection:
        left = (await connection.execute(sa.select(SESSIONS.c.device).order_by(SESSIONS.c.device))).scalars().all()
    assert left == ["now", "young"]


async def test_many_rows_go_in_many_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_tokens(database, 120, expired=100)
    begun = 0
    begin = Database.begin

    def counted(self: Database) -> object:
        nonlocal begun
        begun += 1
        return begin(self)

    monkeypatch.setattr(Database, "begin", counted)
    tally = await run(database, RowRule("expired-tokens", TOKENS.c.expires_at, batch=30))
    assert (tally.removed, begun, len(await ids(database))) == (100, 4, 20)


async def test_a_limit_ends_the_run_with_the_oldest_rows_gone(database: Database) -> None:
    await add_tokens(database, 20, expired=15)
    tally = await run(database, RowRule("expired-tokens", TOKENS.c.expires_at, batch=4), limit=10)
    assert (tally.removed, tally.more, (await ids(database))[0]) == (10, True, 10)
    tally = await run(database, RowRule("expired-tokens", TOKENS.c.expires_at), limit=5)
    assert (tally.removed, tally.more) == (5, False)


async def test_a_dry_run_counts_and_removes_nothing(database: Database, tmp_path: Path) -> None:
    await add_tokens(database, 10, expired=4)
    said: list[str] = []
    rule = RowRule("expired-tokens", TOKENS.c.expires_at, archive=tmp_path / "archive")
    tally = await run(database, rule, dry_run=True, said=said)
    assert (tally.removed, tally.archived, len(await ids(database))) == (4, 0, 10)
    assert said == ["would remove 4 rows of tokens"]
    assert not (tmp_path / "archive").exists()
    limited = await run(database, rule, dry_run=True, limit=3)
    assert (limited.removed, limited.more) == (3, True)


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_table_that_is_not_there_is_named(database: Database, dry_run: bool) -> None:
    gone = sa.Table(
        "visits", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("at", sa.DateTime)
    )
    with pytest.raises(CleanupError, match="the database has no table visits"):
        await run(database, RowRule("visits", gone.c.at), dry_run=dry_run)


async def test_rows_are_archived_before_they_go(database: Database, tmp_path: Path) -> None:
    await add_tokens(database, 5, expired=3)
    tally = await run(database, RowRule("old-logs", TOKENS.c.expires_at, archive=tmp_path / "archive", batch=2))
    files = sorted((tmp_path / "archive").iterdir())
    rows = [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert (tally.removed, tally.archived, len(files)) == (3, 3, 2)
    assert sorted(row["id"] for row in rows) == [0, 1, 2]
    assert {row["note"] for row in rows} == {"eA=="}
    assert all(file.name.startswith("tokens-20270115-") for file in files)


async def test_a_run_that_died_before_its_commit_leaves_the_rows_and_archives_them_under_the_same_name(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_tokens(database, 5, expired=3)
    rule = RowRule("old-logs", TOKENS.c.expires_at, archive=tmp_path / "archive")
    with monkeypatch.context() as patch:
        patch.setattr("corral.handlers.cleanup.rows.delete", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await run(database, rule)
    assert len(await ids(database)) == 5
    assert len(list((tmp_path / "archive").iterdir())) == 1
    await run(database, rule)
    assert len(await ids(database)) == 2
    assert len(list((tmp_path / "archive").iterdir())) == 1


async def test_rows_stay_when_the_archive_cannot_be_written(database: Database, tmp_path: Path) -> None:
    await add_tokens(database, 5, expired=3)
    (tmp_path / "archive").write_text("a file is in the way")
    with pytest.raises(OSError, match="File exists"):
        await run(database, RowRule("old-logs", TOKENS.c.expires_at, archive=tmp_path / "archive"))
    assert len(await ids(database)) == 5


def test_a_table_without_a_primary_key_and_a_column_without_a_time_are_refused() -> None:
    with pytest.raises(ConfigError, match="table bare needs a primary key"):
        RowRule("x", BARE.c.at)
    with pytest.raises(ConfigError, match=r"column tokens\.note must hold an instant"):
        RowRule("x", TOKENS.c.note)
    with pytest.raises(ConfigError, match="must be 1 or more, not 0"):
        RowRule("x", TOKENS.c.expires_at, batch=0)
