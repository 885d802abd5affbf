"""What only an SQLite store can have."""

import sqlite3
from contextlib import closing
from pathlib import Path

from corral.options import JobOptions
from corral.storage.movable import movable
from tests.storage.helpers import QUEUE, add, new_job

from .helpers import carry


async def test_a_job_that_another_version_wrote_is_reported_and_stays(tmp_path: Path) -> None:
    async with (
        movable(f"sqlite:///{tmp_path}/here.db") as here,
        movable(f"sqlite:///{tmp_path}/there.db") as there,
    ):
        await add(here, new_job("strange", options=JobOptions(attempts=2)), new_job("good"), new_job())
        with closing(sqlite3.connect(tmp_path / "here.db")) as db:
            db.execute("UPDATE corral_job SET options = '{\"attempts\": \"many\"}' WHERE id = 'strange'")
            db.commit()
        [done] = await carry(here, there)
        assert (done.new, done.unreadable, done.complete) == (2, ("strange",), False)
        assert await there.get(QUEUE, ["strange"]) == [None]


async def test_a_store_that_was_never_moved_pays_nothing_for_it(tmp_path: Path) -> None:
    async with movable(f"sqlite:///{tmp_path}/here.db") as here:
        await add(here, new_job("a"))
        await here.pack(QUEUE)
    with closing(sqlite3.connect(tmp_path / "here.db")) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert "corral_moved" not in tables


async def test_marks_go_with_their_jobs(tmp_path: Path) -> None:
    async with (
        movable(f"sqlite:///{tmp_path}/here.db") as here,
        movable(f"sqlite:///{tmp_path}/there.db") as there,
    ):
        await add(here, new_job("a"), new_job("b"))
        await carry(here, there)
        await here.obliterate(QUEUE)
    with closing(sqlite3.connect(tmp_path / "here.db")) as db:
        assert db.execute("SELECT count(*) FROM corral_moved").fetchone() == (0,)
