"""Backups of PostgreSQL, by its own programs."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral.handlers.backup import BackupError, PostgresSource, Shelf, bundle
from corral.testing import run_job
from tests.handlers.databases import fresh_postgres
from tests.outbox.postgres import programs


@pytest.fixture
def people(postgres: str) -> str:
    """The URL of a database with three people in it."""
    url = fresh_postgres(postgres)
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE people AS SELECT generate_series(1, 3) AS id"))
    engine.dispose()
    return url


def program(name: str) -> str:
    folder = programs()
    assert folder is not None  # the server runs, so its programs are there
    return str(folder / name)


async def test_a_database_is_backed_up_and_restored(people: str, postgres: str, tmp_path: Path) -> None:
    source, shelf = PostgresSource(people, name="shop", pg_dump=program("pg_dump")), Shelf(tmp_path / "backups")
    made = {job.name: job for job in bundle(sources=[source], shelf=shelf)}
    result = await run_job(made["daily-backup"], {"type": "incremental"})
    [backup] = result["backups"]
    assert (backup["type"], backup["file"].endswith(".full.dump")) == ("full", True)
    assert (await run_job(made["verify-backups"], {}))["verified"] == [backup["id"]]

    shelf.restore("shop", tmp_path / "restored.dump")
    empty = fresh_postgres(postgres)
    command = [program("pg_restore"), f"--dbname={empty}", str(tmp_path / "restored.dump")]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=60)
    engine = sa.create_engine(empty.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM people")).scalar_one() == 3
    engine.dispose()


async def test_a_password_is_in_no_command_line_no_error_and_no_representation(tmp_path: Path) -> None:
    """A program that says everything it was told, in the place of `pg_dump`."""
    spy = tmp_path / "pg_dump"
    spy.write_text('#!/bin/sh\necho "args: $@" >&2\necho "password $PGPASSWORD" >&2\nexit 1\n')
    spy.chmod(0o755)
    url = "postgresql://ann:s3cret-canary@db.example:6543/shop"
    source = PostgresSource(url, pg_dump=str(spy))
    with pytest.raises(BackupError) as caught:
        await source.dump(tmp_path / "out", lambda: None)
    told = str(caught.value)
    assert "--host=db.example --port=6543 --username=ann --dbname=shop" in told
    assert "password …" in told
    assert "s3cret-canary" not in told + repr(source)


async def test_a_name_that_looks_like_an_option_stays_a_name(tmp_path: Path) -> None:
    spy = tmp_path / "pg_dump"
    spy.write_text('#!/bin/sh\nfor word in "$@"; do echo "[$word]" >&2; done\nexit 1\n')
    spy.chmod(0o755)
    with pytest.raises(BackupError, match=r"\[--dbname=--file=/etc/passwd\]"):
        await PostgresSource("postgresql://host/--file=/etc/passwd", pg_dump=str(spy)).dump(
            tmp_path / "out", lambda: None
        )


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="install PostgreSQL's client programs, or set BACKUP_PG_DUMP"):
        await PostgresSource("postgresql://host/x", pg_dump=str(tmp_path / "none")).dump(tmp_path / "out", lambda: None)


async def test_a_program_ends_with_its_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    spy = tmp_path / "pg_dump"
    spy.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 300\n")
    spy.chmod(0o755)
    source = PostgresSource("postgresql://host/x", pg_dump=str(spy))
    dumping = asyncio.create_task(source.dump(tmp_path / "out", lambda: None))
    pid = await asyncio.to_thread((tmp_path / "pid").read_text)
    dumping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dumping
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
