"""The application's database: opening, migrating, transactions, upserts; on SQLite and PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from corral import Corral
from corral.errors import ConfigError, RegistrationError, StorageUnavailableError, StorageVersionError
from corral.handlers.kit import database as module
from corral.handlers.kit.database import Database, Schema, folder_of
from tests.handlers.databases import differences, opened_at_once

METADATA = sa.MetaData()
THINGS = sa.Table(
    "test_things",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("facts", sa.JSON),
    sa.Column("seen_at", sa.BigInteger),
)
OWNERS = sa.Table(
    "test_owners",
    METADATA,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("thing", sa.String(40), sa.ForeignKey("test_things.id"), nullable=False),
)
FOLDER = Path(__file__).with_name("things")
SCHEMA = Schema("things", METADATA, FOLDER)


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database with things in it."""
    made = Database(app_database)
    made.needs(SCHEMA)
    async with made:
        yield made


async def sizes(database: Database) -> dict[str, int]:
    async with database.connect() as connection:
        found = await connection.execute(sa.select(THINGS.c.id, THINGS.c.size).order_by(THINGS.c.id))
        return {row.id: row.size for row in found}


# -- tables -----------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["0002"] * 4


async def test_several_processes_may_open_a_new_database_at_once(app_database: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from sqlalchemy import MetaData\n"
        "from corral.handlers.kit.database import Database, Schema\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    database.needs(Schema('things', MetaData(), Path(sys.argv[2])))\n"
        "    async with database:\n"
        "        pass\n"
        "asyncio.run(main())\n"
    )
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, app_database, str(FOLDER)) for _ in range(3)
    ]

    assert [await process.wait() for process in running] == [0, 0, 0]
    assert await differences(app_database, SCHEMA) == []


async def test_a_migration_that_fails_leaves_nothing_behind(app_database: str, tmp_path: Path) -> None:
    versions = tmp_path / "broken" / "versions"
    versions.mkdir(parents=True)
    (versions / "v0001_broken.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('half', sa.Column('id', sa.Integer))\n    raise RuntimeError('broken')\n"
    )
    database = Database(app_database)
    database.needs(Schema("broken", sa.MetaData(), tmp_path / "broken"))

    with pytest.raises(RuntimeError, match="broken"):
        await database.open()

    async with Database(app_database) as bare, bare.connect() as connection:
        assert await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()) == []


async def test_tables_of_a_newer_version_are_left_alone(app_database: str, database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE corral_things_version SET version_num = '0009'"))
    older = Database(app_database)
    older.needs(SCHEMA)

    with pytest.raises(StorageVersionError, match="at revision 0009, which this version does not know"):
        await older.open()


async def test_what_may_not_migrate_says_what_is_missing(app_database: str) -> None:
    strict = Database(app_database, migrate=False)
    strict.needs(SCHEMA)

    with pytest.raises(ConfigError, match=r"things tables in .* are at revision None, not 0002"):
        await strict.open()
    await strict.migrate()
    async with strict:
        assert await sizes(strict) == {}


async def test_tables_may_be_asked_for_after_opening(app_database: str) -> None:
    async with Database(app_database) as database:
        database.needs(SCHEMA)

        assert await sizes(database) == {}


def test_a_schema_is_declared_once() -> None:
    database = Database()
    database.needs(SCHEMA)
    database.needs(SCHEMA)

    assert database.schemas == (SCHEMA,)
    with pytest.raises(RegistrationError, match="'things' is declared already"):
        database.needs(Schema("things", sa.MetaData(), FOLDER))


def test_the_folder_of_migrations_stands_beside_the_module() -> None:
    assert folder_of("/app/family/tables.py") == Path("/app/family/migrations")


# -- where it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sqlite:///:memory:", "in memory cannot be shared"),
        ("sqlite://", "in memory cannot be shared"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory cannot be shared"),
        ("mysql://localhost/app", "'mysql' is not known"),
        ("not a url with secret", "cannot be read"),
    ],
)
def test_other_databases_are_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://ann:hunter2@db.example/app", "postgres://ann:hunter2@db.example/app"])
def test_the_password_is_not_shown(url: str) -> None:
    database = Database(SecretStr(url))

    assert database.dialect == "postgresql"
    assert "hunter2" not in repr(database)
    assert "ann:***@db.example/app" in repr(database)


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    database = Database("postgresql://ann:hunter2@/app?host=/nowhere")
    database.needs(SCHEMA)

    with pytest.raises(StorageUnavailableError, match=r"ann:\*\*\*@/app") as caught:
        await database.open()
    assert "hunter2" not in str(caught.value)


async def test_a_file_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/no/app.db")
    database.needs(SCHEMA)

    with pytest.raises(StorageUnavailableError, match=r"no/app\.db cannot be used: unable to open"):
        await database.open()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"not a database" * 100)
    database = Database(f"sqlite:///{tmp_path}/app.db")
    database.needs(SCHEMA)

    with pytest.raises(StorageUnavailableError, match=r"app\.db cannot be used: file is not a database"):
        await database.open()
    assert (tmp_path / "app.db").read_bytes() == b"not a database" * 100


# -- its life ---------------------------------------------------------------------------------------------------------


async def test_a_database_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(ConfigError, match=r"database\.attach\(app\)"):
        async with Database().begin():
            pass


async def test_it_is_open_with_the_worker_and_closed_after_it(app_database: str) -> None:
    app = Corral("sqlite:///:memory:")
    database = Database(app_database)
    database.needs(SCHEMA)
    database.attach(app)
    database.attach(app)

    @app.queue("things").job("add")
    async def add(id: str) -> int:
        async with database.begin() as connection:
            return await database.upsert(connection, THINGS, [{"id": id, "size": 3}], key=["id"])

    async with app:
        async with await app.worker():
            assert await (await add.add("a")).result(timeout=30) == 1
            assert await sizes(database) == {"a": 3}
        with pytest.raises(ConfigError, match="not open"):
            await sizes(database)


async def test_the_last_one_closes_it(database: Database) -> None:
    async with database:
        pass

    assert await sizes(database) == {}


# -- transactions -----------------------------------------------------------------------------------------------------


async def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    async def breaks() -> None:
        async with database.begin() as connection:
            await database.upsert(connection, THINGS, [{"id": "a", "size": 1}], key=["id"])
            raise LookupError

    with pytest.raises(LookupError):
        await breaks()

    assert await sizes(database) == {}


async def test_what_a_reading_connection_writes_is_undone(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute(THINGS.insert(), {"id": "a", "size": 1})

    assert await sizes(database) == {}


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        async with database.begin() as connection:
            await connection.execute(OWNERS.insert(), {"name": "ann", "thing": "none"})


async def test_writers_wait_for_each_other_and_lose_nothing(app_database: str, database: Database) -> None:
    other = Database(app_database)
    await database_rows(database, [{"id": "a", "size": 0}])

    async def count(which: Database) -> None:
        async with which.begin() as connection:
            await connection.execute(THINGS.update().values(size=THINGS.c.size + 1))

    async with other:
        await asyncio.gather(*(count(which) for which in (database, other) for _ in range(10)))

    assert await sizes(database) == {"a": 20}


async def test_many_writers_of_one_process_come_in_turn_however_long_they_take_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own patience is for other processes: one writer alone may not outlast it here, twenty together do."""
    monkeypatch.setattr(module, "BUSY", 0.2)
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    database.needs(SCHEMA)
    order: list[int] = []

    async def write(number: int) -> None:
        async with database.begin() as connection:
            await connection.execute(sa.insert(THINGS).values(id=str(number), size=number))
            await asyncio.sleep(0.05)  # what a handler does inside of its transaction
            order.append(number)

    async with database:
        await asyncio.gather(*map(write, range(20)))
        assert len(await sizes(database)) == 20
    assert order == list(range(20))


async def test_a_transaction_within_a_transaction_is_refused_and_the_outer_one_goes_on(database: Database) -> None:
    async with database.begin() as connection:
        with pytest.raises(ConfigError, match="hand its connection on"):
            async with database.begin():
                pass
        await database.upsert(connection, THINGS, [{"id": "a", "size": 1}], key=["id"])
    async with database.begin() as connection:
        await database.upsert(connection, THINGS, [{"id": "b", "size": 2}], key=["id"])

    assert await sizes(database) == {"a": 1, "b": 2}


async def test_readers_do_not_wait_for_the_writer(database: Database) -> None:
    async with database.begin() as connection:
        await database.upsert(connection, THINGS, [{"id": "a", "size": 1}], key=["id"])

        assert await sizes(database) == {}


# -- upserts ----------------------------------------------------------------------------------------------------------


async def database_rows(database: Database, rows: list[dict[str, object]], keep: tuple[str, ...] = ()) -> int:
    async with database.begin() as connection:
        return await database.upsert(connection, THINGS, rows, key=["id"], keep=keep)


async def test_a_row_with_the_same_key_is_replaced(database: Database) -> None:
    await database_rows(database, [{"id": "a", "size": 1}, {"id": "b", "size": 2}])
    await database_rows(database, [{"id": "b", "size": 3}, {"id": "c", "size": 4}])

    assert await sizes(database) == {"a": 1, "b": 3, "c": 4}


async def test_some_columns_stay_as_they_were(database: Database) -> None:
    await database_rows(database, [{"id": "a", "size": 1, "seen_at": 100}])
    await database_rows(database, [{"id": "a", "size": 2, "seen_at": 200}], keep=("seen_at",))

    async with database.connect() as connection:
        row = (await connection.execute(sa.select(THINGS))).one()
    assert (row.size, row.seen_at) == (2, 100)


async def test_a_key_twice_in_one_call_is_written_in_order(database: Database) -> None:
    await database_rows(
        database, [{"id": "a", "size": 1}, {"id": "a", "size": 2, "seen_at": 5}, {"id": "a", "size": 3}]
    )

    assert await sizes(database) == {"a": 3}


async def test_rows_that_are_only_a_key_are_there_once(database: Database) -> None:
    await database_rows(database, [{"id": "a", "size": 1}])
    async with database.begin() as connection:
        await database.upsert(connection, OWNERS, [{"name": "ann", "thing": "a"}], key=["name"], keep=["thing"])
        await database.upsert(connection, OWNERS, [{"name": "ann", "thing": "b"}], key=["name"], keep=["thing"])
        assert await connection.scalar(sa.select(OWNERS.c.thing)) == "a"


async def test_many_rows_are_written(database: Database) -> None:
    assert await database_rows(database, [{"id": f"{n:05}", "size": n} for n in range(1_234)]) == 1_234
    assert await database_rows(database, []) == 0

    assert sum((await sizes(database)).values()) == 1_233 * 1_234 // 2


async def test_json_comes_back_as_it_was(database: Database) -> None:
    facts = {"labels": ["ä", "%", "'"], "deep": {"n": 1.5, "none": None}}
    await database_rows(database, [{"id": "a", "size": 1, "facts": facts}])

    async with database.connect() as connection:
        assert await connection.scalar(sa.select(THINGS.c.facts)) == facts
