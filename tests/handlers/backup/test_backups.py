"""Backups: made, verified, kept, restored."""

import gzip
import json
import os
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.errors import ConfigError, JobCancelledError, PayloadError
from corral.handlers.backup import (
    JOBS,
    BackupError,
    BackupSettings,
    FolderSource,
    Keep,
    Made,
    Manifest,
    Shelf,
    SqliteSource,
    bundle,
    source_of,
)
from corral.handlers.backup.pack import BLOCK, Packed
from corral.handlers.backup.shelf import kept
from corral.signals import Discard
from corral.testing import Recorded, app_in_memory, run_job

NIGHT = datetime(2026, 11, 23, 1, tzinfo=UTC)
Jobs = Mapping[str, JobDefinition[object, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A database that is in use: in WAL mode, with a connection open that has not been checkpointed."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO people VALUES (?, ?)", [(n, f"person {n} " * 20) for n in range(5_000)])
        connection.commit()
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "backups")


def jobs(shelf: Shelf, *sources: SqliteSource | FolderSource, now: datetime = NIGHT) -> Jobs:
    made = bundle(BackupSettings.load(), sources=sources, shelf=shelf, clock=lambda: round(now.timestamp() * 1000))
    return {job.name: job for job in made}


async def back_up(
    shelf: Shelf, *sources: SqliteSource | FolderSource, at: datetime = NIGHT, id: str = "1",
    recorded: Recorded | None = None, attempt: int = 1, **data: object,
) -> Made:  # fmt: skip
    job = jobs(shelf, *sources, now=at)["daily-backup"]
    return await run_job(job, data, id=id, scheduled_for=at, recorded=recorded, attempt=attempt)


def people(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM people").fetchone()[0])


@pytest.mark.mission("M-GL-65")
async def test_a_database_is_backed_up_and_restored(store: Path, shelf: Shelf, tmp_path: Path) -> None:
    recorded = Recorded()
    made = await back_up(shelf, SqliteSource(store), recorded=recorded)
    [backup] = made["backups"]
    assert (backup["source"], backup["type"]) == ("app", "full")
    assert backup["file"].startswith("app-20261123T010000Z-")
    assert backup["file"].endswith(".full.sqlite.gz")
    assert backup["bytes"] == (shelf.folder / backup["file"]).stat().st_size < backup["size"]
    assert recorded.progress == [100]
    shelf.restore("app", tmp_path / "restored.db")
    assert people(tmp_path / "restored.db") == 5_000


async def test_a_database_that_is_being_written_to_is_copied_as_it_was_at_one_moment(
    store: Path, shelf: Shelf, tmp_path: Path
) -> None:
    done, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(store, timeout=30)) as connection:
            number = 5_000
            while not done.is_set():
                # Two rows in one transaction: a copy has both or none.
                connection.executemany("INSERT INTO people VALUES (?, 'x')", [(number,), (number + 1,)])
                connection.commit()
                number += 2
                written.set()

    thread = threading.Thread(target=write)
    thread.start()
    written.wait(30)
    try:
        for id in ("1", "2", "3"):
            await back_up(shelf, SqliteSource(store), id=id)
    finally:
        done.set()
        thread.join()
    for number, manifest in enumerate(shelf.all()):
        shelf.restore(manifest.id, tmp_path / f"restored-{number}.db")
        assert people(tmp_path / f"restored-{number}.db") % 2 == 0
        assert people(tmp_path / f"restored-{number}.db") > 5_000


async def test_an_incremental_backup_holds_what_is_different_from_the_last_full_one(
    store: Path, shelf: Shelf, tmp_path: Path
) -> None:
    source = SqliteSource(store)
    await back_up(shelf, source, id="full")
    for day, id in ((1, "a"), (2, "b")):
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("INSERT INTO people (name) VALUES ('new')")
            connection.commit()
        await back_up(shelf, source, id=id, at=NIGHT + timedelta(day), type="incremental")
    second, first, full = shelf.all()
    assert [one.type for one in (second, first, full)] == ["incremental", "incremental", "full"]
    assert (second.base, first.base) == (full.id, full.id)
    assert second.packed.packed_size < full.packed.packed_size / 3
    for number, manifest in enumerate((second, first, full)):
        shelf.restore(manifest.id, tmp_path / f"{number}.db")
        assert people(tmp_path / f"{number}.db") == 5_002 - number


async def test_an_incremental_backup_of_a_database_that_became_smaller_is_restored(
    store: Path, shelf: Shelf, tmp_path: Path
) -> None:
    source = SqliteSource(store)
    await back_up(shelf, source, id="full")
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("DELETE FROM people WHERE id >= 10")
        connection.execute("VACUUM")
    await back_up(shelf, source, id="small", at=NIGHT + timedelta(1), type="incremental")
    shelf.restore("app", tmp_path / "restored.db")
    assert people(tmp_path / "restored.db") == 10
    assert (tmp_path / "restored.db").stat().st_size < 20 * BLOCK


async def test_the_first_incremental_backup_is_a_full_one(store: Path, shelf: Shelf) -> None:
    made = await back_up(shelf, SqliteSource(store), type="incremental")
    assert made["backups"][0]["type"] == "full"


async def test_a_folder_is_backed_up_with_links_as_links(shelf: Shelf, tmp_path: Path) -> None:
    folder, secret = tmp_path / "uploads", tmp_path / "secret"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "ünï.txt").write_text("content")
    secret.write_text("not in the folder")
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    made = await back_up(shelf, FolderSource(folder))
    assert made["backups"][0]["file"].endswith(".full.tar.gz")
    shelf.restore("uploads", tmp_path / "restored.tar")
    with tarfile.open(tmp_path / "restored.tar") as archive:
        assert sorted(archive.getnames()) == [".", "./a", "./a/ünï.txt", "./link"]
        assert archive.getmember("./link").issym()
    assert b"not in the folder" not in (tmp_path / "restored.tar").read_bytes()


async def test_a_second_attempt_finds_what_the_first_one_made(store: Path, shelf: Shelf, tmp_path: Path) -> None:
    recorded = Recorded()
    gone = SqliteSource(tmp_path / "gone.db")
    with pytest.raises(BackupError, match="1 of 2 could not be backed up: gone: database"):
        await back_up(shelf, SqliteSource(store), gone, recorded=recorded)
    (tmp_path / "gone.db").write_bytes(store.read_bytes())
    made = await back_up(shelf, SqliteSource(store), gone, recorded=recorded, attempt=2)
    assert [(one["source"], one.get("already", False)) for one in made["backups"]] == [("app", True), ("gone", False)]
    assert len(shelf.all()) == 2


async def test_nobody_else_may_read_a_backup_and_nothing_unfinished_stays(store: Path, shelf: Shelf) -> None:
    await back_up(shelf, SqliteSource(store))
    [backup] = shelf.folder.glob("*.gz")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700
    assert list(shelf.folder.glob(".*")) == []
    assert len(list(shelf.folder.iterdir())) == 2


async def test_a_damaged_database_is_not_taken_for_a_backup(tmp_path: Path, shelf: Shelf, store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[3 * 4096 : 4 * 4096] = os.urandom(4096)
    (tmp_path / "bad.db").write_bytes(content)
    with pytest.raises(BackupError, match="bad: "):
        await back_up(shelf, SqliteSource(tmp_path / "bad.db"))
    assert list(shelf.folder.iterdir()) == []


async def test_a_backup_stops_when_it_is_told_to(store: Path, tmp_path: Path) -> None:
    def check() -> None:
        raise JobCancelledError("enough")

    with pytest.raises(JobCancelledError, match="enough"):
        await SqliteSource(store).dump(tmp_path / "copy", check)


# -- verifying ---------------------------------------------------------------------------------------------------------


async def test_backups_are_verified_by_unpacking_them(store: Path, shelf: Shelf) -> None:
    source = SqliteSource(store)
    await back_up(shelf, source, id="full")
    await back_up(shelf, source, id="diff", at=NIGHT + timedelta(1), type="incremental")
    newest, oldest = shelf.all()
    verify = jobs(shelf, source)["verify-backups"]
    assert await run_job(verify, {}) == {"verified": [newest.id]}
    assert await run_job(verify, {"every": True}) == {"verified": [newest.id, oldest.id]}


@pytest.mark.parametrize("kind", ["flipped", "cut", "gone", "exchanged"])
async def test_a_backup_that_is_not_what_it_was_is_found(store: Path, shelf: Shelf, kind: str) -> None:
    source = SqliteSource(store)
    await back_up(shelf, source, id="full")
    [manifest] = shelf.all()
    file = shelf.folder / manifest.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.unlink()
    harmed = {
        "flipped": [bytes(content)],
        "cut": [bytes(content[: len(content) // 2])],
        "exchanged": [gzip.compress(b"something else")],
    }
    for there in harmed.get(kind, ()):
        file.write_bytes(there)
    with pytest.raises(BackupError, match=f"backup {manifest.file} is damaged"):
        await run_job(jobs(shelf, source)["verify-backups"], {})


async def test_a_source_without_a_backup_is_found(store: Path, shelf: Shelf) -> None:
    with pytest.raises(BackupError, match="app has no backup"):
        await run_job(jobs(shelf, SqliteSource(store))["verify-backups"], {})


async def test_a_difference_whose_base_is_gone_is_found(store: Path, shelf: Shelf) -> None:
    source = SqliteSource(store)
    await back_up(shelf, source, id="full")
    await back_up(shelf, source, id="diff", at=NIGHT + timedelta(1), type="incremental")
    shelf.remove(shelf.all()[1])
    with pytest.raises(BackupError, match=r"is the difference to app-20261123T010000Z-\w+, which is gone"):
        await run_job(jobs(shelf, source)["verify-backups"], {})


# -- keeping -----------------------------------------------------------------------------------------------------------


def manifest(at: datetime, *, base: str | None = None) -> Manifest:
    id = f"app-{at:%Y%m%dT%H%M%SZ}-00000000"
    return Manifest(
        id=id,
        source="app",
        type="full" if base is None else "incremental",
        file=id,
        at=round(at.timestamp() * 1000),
        packed=Packed(0, "", 0, ""),
        compressed=True,
        base=base,
    )


def days_kept(there: list[Manifest], keep: Keep, now: datetime) -> list[str]:
    return sorted(id[4:12] for id in kept(there, keep, round(now.timestamp() * 1000)))


def test_the_newest_of_each_day_week_and_month_stays() -> None:
    there = [manifest(NIGHT - timedelta(days)) for days in range(400)]
    stays = days_kept(there, Keep(daily=3, weekly=3, monthly=3), NIGHT + timedelta(hours=30))
    assert stays == ["20260930", "20261031", "20261115", "20261121", "20261122", "20261123"]


def test_of_several_in_a_day_the_newest_stays_and_all_of_the_last_24_hours() -> None:
    there = [manifest(NIGHT - timedelta(hours=hours)) for hours in range(0, 72, 6)]
    stays = kept(there, Keep(2, 0, 0), round(NIGHT.timestamp() * 1000))
    assert len(stays) == 4
    assert len(kept(there, Keep(2, 0, 0), round((NIGHT + timedelta(days=9)).timestamp() * 1000))) == 2


def test_what_others_are_the_difference_to_stays() -> None:
    base = manifest(NIGHT - timedelta(30))
    there = [base, *(manifest(NIGHT - timedelta(days), base=base.id) for days in range(5))]
    assert base.id in kept(there, Keep(2, 0, 0), round(NIGHT.timestamp() * 1000))


async def test_backups_that_have_had_their_time_are_removed(store: Path, shelf: Shelf) -> None:
    removed = []
    for day in range(12):
        made = await back_up(shelf, SqliteSource(store), id=str(day), at=NIGHT + timedelta(day))
        removed += made["removed"]
    assert len(shelf.all()) + len(removed) == 12
    assert [one.at for one in shelf.all()][:7] == [
        round((NIGHT + timedelta(day)).timestamp() * 1000) for day in range(11, 4, -1)
    ]
    assert len(list(shelf.folder.iterdir())) == 2 * len(shelf.all())


def test_a_description_cannot_have_other_files_removed(shelf: Shelf, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("here")
    shelf.open()
    evil = {
        "id": "app-20261123T010000Z-00000000", "source": "app", "type": "full", "file": "../canary", "at": 1,
        "packed": {"size": 0, "sha256": "", "packed_size": 0, "packed_sha256": ""}, "compressed": False,
    }  # fmt: skip
    (shelf.folder / "app-20261123T010000Z-00000000.json").write_text(json.dumps(evil))
    (shelf.folder / "broken.json").write_text("{")
    [found] = shelf.all()
    shelf.remove(found)
    assert canary.exists()
    with pytest.raises(BackupError, match="there is no backup"):
        shelf.restore("app", tmp_path / "restored")


async def test_a_backup_is_never_restored_over_a_file_that_is_there(store: Path, shelf: Shelf) -> None:
    await back_up(shelf, SqliteSource(store))
    with pytest.raises(FileExistsError, match="is restored into a new file"):
        shelf.restore("app", store)
    assert people(store) == 5_000


# -- settings and payloads ---------------------------------------------------------------------------------------------


async def test_everything_can_be_configured(store: Path, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    settings = BackupSettings.load(
        backup_dir=tmp_path / "backups", backup_database=f"sqlite:///{store}", backup_folders=f"{tmp_path / 'uploads'}"
    )
    made = {job.name: job for job in bundle(settings)}
    result = await run_job(made["daily-backup"], {"type": "full"})
    assert sorted(one["source"] for one in result["backups"]) == ["app", "uploads"]
    only = await run_job(made["daily-backup"], {"only": ["app"]}, id="2")
    assert [one["source"] for one in only["backups"]] == ["app"]


async def test_what_is_not_configured_fails_at_once_and_says_what_to_set(shelf: Shelf, store: Path) -> None:
    made = {job.name: job for job in bundle(BackupSettings.load())}
    with pytest.raises(Discard, match="set BACKUP_DIR"):
        await run_job(made["daily-backup"], {})
    with pytest.raises(Discard, match="set BACKUP_DATABASE or BACKUP_FOLDERS"):
        await back_up(shelf)
    with pytest.raises(Discard, match="nothing to back up is called other; there are app"):
        await back_up(shelf, SqliteSource(store), only=["other"])


def test_names_that_clash_or_cannot_be_part_of_a_file_are_refused(store: Path) -> None:
    with pytest.raises(ConfigError, match="two sources are called 'app'"):
        bundle(sources=[SqliteSource(store), SqliteSource(store)])
    for name in ("../x", "", "A", "x" * 65, "a b"):
        with pytest.raises(ConfigError, match="the name of a source has small letters"):
            FolderSource("/tmp/x", name=name or "/")
    with pytest.raises(ConfigError, match="is named by postgresql://"):
        source_of("mysql://host/name")


async def test_a_payload_cannot_say_where_or_what() -> None:
    app = Corral("sqlite:///:memory:")
    app.include(bundle(BackupSettings.load()))
    async with app_in_memory(app):
        for data in ({"type": "partial"}, {"dir": "/tmp"}, {"url": "sqlite:////etc/passwd"}, {"only": [""]}):
            with pytest.raises(PayloadError):
                await app.definition("backup", "daily-backup").add(data)
        await app.definition("backup", "daily-backup").add({"type": "full"})


def test_the_jobs_are_the_guide_s_and_one_more() -> None:
    made = bundle(BackupSettings.load())
    assert (made.queue, tuple(job.name for job in made)) == ("backup", JOBS)
