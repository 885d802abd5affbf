"""Files, disks and locks that fail: a typed error, nothing torn, nothing touched that is not ours, and it heals."""

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from corral.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StorageVersionError,
)
from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Added, Claim, Settlement, Storage, Token
from corral.storage.sqlite.file import NETWORK, file_system
from tests.faults.forks import lines
from tests.faults.helpers import Script, effects, eventually, fill, finished, make_read_only, needs_root, small_disk
from tests.faults.scripts import BULK, CALLERS, application, database_of, url_of

JOB = NewJob(queue="work", name="quick", data='{"text": "' + "x" * 3000 + '"}')
BRIEF = "?busy=200"


def integrity(folder: Path) -> list[object]:
    """What SQLite itself says about the file."""
    db = apsw.Connection(str(database_of(folder)))
    try:
        return [row[0] for row in db.execute("PRAGMA integrity_check")]
    finally:
        db.close()


async def add_for_ever(storage: Storage, acked: list[Added]) -> None:
    """Add until there is an error."""
    while True:
        acked += await storage.add([JOB])


# -- disk full ---------------------------------------------------------------------------------------------------------


@needs_root
async def test_a_full_disk_is_a_typed_error_that_tears_nothing_and_heals(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with connect(url_of(tmp_path)) as storage:
            await storage.add([JOB])
            ballast = fill(disk)
            acked: list[Added] = []
            with pytest.raises(StorageFullError, match="nothing was written"):
                await add_for_ever(storage, acked)
            with pytest.raises(StorageFullError):
                await storage.add([JOB] * 500)
            assert (await storage.counts(["work"]))[0].waiting == len(acked) + 1
            ballast.unlink()
            await storage.add([JOB])
            assert (await storage.counts(["work"]))[0].waiting == len(acked) + 2
        assert integrity(tmp_path) == ["ok"]


@needs_root
async def test_a_verdict_that_finds_the_disk_full_can_be_given_again_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with connect(url_of(tmp_path)) as storage:
            await storage.add([JOB] * 20)
            token = Token("t")
            claimed = await storage.claim("work", Claim(count=20, token=token, lease_ms=60_000))
            result = '"' + "y" * 200_000 + '"'
            verdicts = [Settlement(job_id=job.id, token=token, outcome=Completed(result)) for job in claimed.jobs]
            ballast = fill(disk)
            with pytest.raises(StorageFullError):
                await storage.settle("work", verdicts)
            counts = (await storage.counts(["work"]))[0]
            assert (counts.active, counts.completed_total) == (20, 0)
            ballast.unlink()
            short = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed.jobs]
            assert (await storage.settle("work", short)).refused == {}
        assert integrity(tmp_path) == ["ok"]


@needs_root
@pytest.mark.slow  # the disk stays full for three leases of a second
async def test_jobs_that_run_while_the_disk_is_full_for_three_leases_run_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with application(tmp_path) as app:
            await app.definition("work", "patient").add_bulk([None] * 3)
            await app.definition("work", "quick").add_bulk([None] * 20)
            with Script("worker", tmp_path, 1.0).ready(), Script("worker", tmp_path, 1.0).ready() as other:
                await eventually(lambda: len(effects(tmp_path)) == 3 + 20)
                ballast = fill(disk)
                await asyncio.sleep(3.0)  # the fault itself: nobody can renew a lease
                ballast.unlink()
                await asyncio.sleep(1.5)  # whoever may take a job that is not his has done so by now
                (tmp_path / "go").touch()
                await finished(tmp_path, 23)
                assert other.stop() == 0
        assert sorted(fence for _, fence, _ in effects(tmp_path)) == [1] * 23
        assert integrity(tmp_path) == ["ok"]


# -- locks -------------------------------------------------------------------------------------------------------------


async def test_an_add_waits_for_another_process_that_holds_the_lock(tmp_path: Path) -> None:
    async with connect(url_of(tmp_path)) as storage:
        with Script("locker", tmp_path).ready() as locker:
            adding = asyncio.ensure_future(storage.add([JOB]))
            done, _ = await asyncio.wait([adding], timeout=0.3)
            assert not done
            assert (await storage.counts(["work"])) != []  # reading goes on meanwhile
            locker.rest()
            assert len(await adding) == 1


async def test_a_lock_that_is_never_released_is_a_typed_error_after_the_patience_of_the_url(tmp_path: Path) -> None:
    async with connect(url_of(tmp_path) + BRIEF) as storage:
        with Script("locker", tmp_path).ready() as locker:
            with pytest.raises(StorageUnavailableError, match="locked by another process"):
                await storage.add([JOB])
            locker.rest()
        assert len(await storage.add([JOB])) == 1
        assert (await storage.counts(["work"]))[0].waiting == 1


async def test_processes_that_add_and_claim_at_once_never_see_a_busy_file(tmp_path: Path) -> None:
    jobs = 40 * CALLERS
    with Script("crowd", tmp_path, jobs).ready() as one, Script("crowd", tmp_path, jobs).ready() as two:
        done = " ".join([*one.rest(), *two.rest()]).split()
    assert len(done) == len(set(done))
    async with connect(url_of(tmp_path)) as storage:
        counts = (await storage.counts(["work"]))[0]
    assert (counts.completed_total, counts.waiting + counts.completed_total) == (len(done), 2 * jobs)


async def test_opening_a_new_file_waits_for_another_process_that_is_making_it(tmp_path: Path) -> None:
    with Script("locker", tmp_path).ready() as locker:  # the file is new, and not in WAL mode yet
        opening = asyncio.ensure_future(open_and_add(tmp_path))
        done, _ = await asyncio.wait([opening], timeout=0.3)
        assert not done
        locker.rest()
        assert await opening == 1


async def open_and_add(folder: Path) -> int:
    async with connect(url_of(folder)) as storage:
        return len(await storage.add([JOB]))


# -- killed in the middle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.002, 0.011, 0.023, 0.047, 0.095])
async def test_a_producer_killed_in_the_middle_of_a_bulk_leaves_it_whole_or_not_at_all(
    moment: float, tmp_path: Path
) -> None:
    with Script("adder", tmp_path).ready() as adder:
        await asyncio.sleep(moment)
        adder.kill()
    async with connect(url_of(tmp_path)) as storage:
        waiting = sum(counts.waiting for counts in await storage.counts(["work"]))
    acked = len(lines(tmp_path / "acks"))
    assert waiting % BULK == 0
    assert acked <= waiting <= acked + 2 * BULK  # the bulk being written down, and the one being stored
    assert integrity(tmp_path) == ["ok"]


@pytest.mark.parametrize("moment", [0.002, 0.011, 0.023, 0.047, 0.095])
async def test_a_worker_killed_while_it_settles_loses_no_verdict_and_tears_none(moment: float, tmp_path: Path) -> None:
    async with connect(url_of(tmp_path)) as storage:
        await storage.add([NewJob(queue="work", name="quick")] * 4_000)
    with Script("settler", tmp_path).ready() as settler:
        await asyncio.sleep(moment)
        settler.kill()
    acked = lines(tmp_path / "acks")
    async with connect(url_of(tmp_path)) as storage:
        counts = (await storage.counts(["work"]))[0]
        settled = [job for job in await storage.get("work", acked) if job is not None]
    assert {job.state.value for job in settled} <= {"completed"}
    assert counts.waiting + counts.active + counts.completed_total == 4_000
    assert counts.active in (0, 20)
    assert len(acked) <= counts.completed_total
    assert integrity(tmp_path) == ["ok"]


# -- files that are not ours, or not whole -----------------------------------------------------------------------------


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scribble(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(os.urandom(size // 3))


def replace(path: Path) -> None:
    path.write_text("these are my notes, not a database\n" * 10)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def renew(path: Path) -> None:
    db = apsw.Connection(str(path))
    db.execute("UPDATE corral_meta SET value = 999 WHERE key = 'schema'")
    db.close()


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (truncate, StorageCorruptError, "truncated"),
        (scribble, StorageCorruptError, "damaged"),
        (replace, StorageCorruptError, "not an SQLite database"),
        (shorten, StorageCorruptError, "not an SQLite database"),
        (renew, StorageVersionError, "newer corral"),
    ],
)
async def test_a_file_that_cannot_be_trusted_is_refused_and_left_as_it_is(
    damage: Callable[[Path], None], error: type[StorageError], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "corral.db"
    async with connect(url_of(tmp_path)) as storage:
        await storage.add([JOB] * 100)
    damage(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(error, match=says):
        async with connect(url_of(tmp_path)):
            pass
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


async def test_a_database_of_somebody_else_gets_our_tables_beside_its_own(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "corral.db"))
    db.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (42)")
    db.close()
    async with connect(url_of(tmp_path)) as storage:
        await storage.add([JOB])
    db = apsw.Connection(str(tmp_path / "corral.db"))
    assert db.execute("SELECT x FROM mine").fetchall() == [(42,)]
    db.close()


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "corral.db").touch(0o600)
    async with connect(url_of(tmp_path)) as storage:
        assert len(await storage.add([JOB])) == 1


async def test_a_checkpoint_that_was_killed_half_way_is_finished_and_not_taken_for_a_truncated_file(
    tmp_path: Path,
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    whole.mkdir()
    async with connect(url_of(whole)) as storage:
        await storage.add([JOB])
    async with connect(url_of(whole)) as storage:
        await storage.add([JOB] * 200)
        half.mkdir()
        for name in ("corral.db", "corral.db-wal"):
            (half / name).write_bytes((whole / name).read_bytes())
    # A checkpoint writes the first page, with the new size of the file in it, before it makes the file so long.
    with (half / "corral.db").open("r+b") as file:
        file.write(last_first_page((half / "corral.db-wal").read_bytes()))
    async with connect(url_of(half)) as storage:
        assert (await storage.counts(["work"]))[0].waiting == 201
    assert integrity(half) == ["ok"]


def last_first_page(log: bytes) -> bytes:
    """The newest version of page 1 in a write-ahead log: 32 bytes of header, then frames of 24 bytes and a page."""
    page = int.from_bytes(log[8:12], "big")
    starts = range(32, len(log) - page - 23, page + 24)
    newest = max(start for start in starts if log[start : start + 4] == b"\0\0\0\1")
    return log[newest + 24 : newest + 24 + page]


# -- places and permissions --------------------------------------------------------------------------------------------


async def test_nobody_else_may_read_the_store(tmp_path: Path) -> None:
    place = tmp_path / "private"
    async with connect(url_of(place)) as storage:
        await storage.add([JOB])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()}
    assert modes == {"corral.db": 0o600, "corral.db-wal": 0o600, "corral.db-shm": 0o600}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


async def test_a_new_store_is_not_created_through_a_symbolic_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.db"
    (tmp_path / "corral.db").symlink_to(target)
    with pytest.raises(StorageError, match="symbolic link"):
        async with connect(url_of(tmp_path)):
            pass
    assert not target.exists()


async def test_a_directory_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "corral.db").mkdir()
    with pytest.raises(StorageError, match="not a file"):
        async with connect(url_of(tmp_path)):
            pass


@needs_root
async def test_a_read_only_file_system_is_a_clear_error_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with connect(url_of(tmp_path)) as storage:
            await storage.add([JOB])
        before = (disk / "corral.db").read_bytes()
        make_read_only(disk)
        with pytest.raises(StorageError, match=str(disk)):
            async with connect(url_of(tmp_path)):
                pass
        assert (disk / "corral.db").read_bytes() == before


MOUNTS = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "50 27 0:44 / /srv/share rw,relatime shared:9 - {kind} server:/export rw\n"
    "51 27 0:45 / /srv/share/local\\040disk rw,relatime - xfs /dev/vdb rw\n"
)


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_a_network_file_system_is_recognised(kind: str) -> None:
    mounts = MOUNTS.format(kind=kind)
    assert file_system(Path("/srv/share/app/corral.db"), mounts) == kind
    assert file_system(Path("/srv/share/local disk/corral.db"), mounts) == "xfs"
    assert file_system(Path("/srv/shared/corral.db"), mounts) == "ext4"


async def test_a_store_on_a_network_file_system_is_refused_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = f"27 1 254:0 / / rw - ext4 /dev/vda rw\n50 27 0:44 / {tmp_path} rw - nfs4 server:/export rw\n"
    real = Path.read_text

    def read_text(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        return mounts if str(path) == "/proc/self/mountinfo" else real(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", read_text)  # nothing here can export an NFS share
    with pytest.raises(StorageVersionError, match="nfs4"):
        async with connect(url_of(tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []
    async with connect(url_of(tmp_path) + "?network=allow") as storage:
        assert len(await storage.add([JOB])) == 1


# -- fork --------------------------------------------------------------------------------------------------------------


async def test_a_forked_child_is_told_that_the_store_is_not_its_own(tmp_path: Path) -> None:
    with Script("forker", tmp_path).ready() as forker:
        wrote, read, waiting = forker.rest()
    assert wrote == read == "StorageError: this store was opened before a fork; open it again in the child process"
    assert waiting == "1"
