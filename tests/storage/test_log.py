"""log and logs: a job's own lines, the newest so many, read oldest first."""

from corral.outcome import Completed
from corral.storage.insight import Page
from corral.storage.port import Storage

from .helpers import QUEUE, T0, Tape, add_ids, run_through


async def test_lines_are_appended_and_counted(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.log(QUEUE, "a", ["one"]) == 1
    assert await storage.log(QUEUE, "a", ["two", "three"]) == 3
    assert await storage.logs(QUEUE, "a") == Page(("one", "two", "three"), 3)


async def test_only_the_newest_lines_are_kept(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", [f"line {n}" for n in range(10)], keep=4)
    assert await storage.logs(QUEUE, "a") == Page(("line 6", "line 7", "line 8", "line 9"), 4)
    assert await storage.log(QUEUE, "a", ["line 10"], keep=4) == 4
    assert (await storage.logs(QUEUE, "a")).items == ("line 7", "line 8", "line 9", "line 10")


async def test_keeping_none_keeps_none(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.log(QUEUE, "a", ["one", "two"], keep=0) == 0
    assert await storage.logs(QUEUE, "a") == Page((), 0)


async def test_lines_are_read_in_stretches(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", [f"line {n}" for n in range(250)])
    assert (await storage.logs(QUEUE, "a")).items == tuple(f"line {n}" for n in range(100))
    page = await storage.logs(QUEUE, "a", start=248, limit=50)
    assert page == Page(("line 248", "line 249"), 250)
    assert await storage.logs(QUEUE, "a", start=250) == Page((), 250)


async def test_logging_to_a_job_that_is_gone_writes_nothing(storage: Storage) -> None:
    assert await storage.log(QUEUE, "ghost", ["line"]) == 0
    assert await storage.logs(QUEUE, "ghost") == Page((), 0)
    await add_ids(storage, "ghost")
    assert await storage.logs(QUEUE, "ghost") == Page((), 0)


async def test_lines_come_back_exactly(storage: Storage) -> None:
    lines = ["", "  padded  ", "æøå 😀", "two\nlines", "x" * 8_000]
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", lines)
    assert (await storage.logs(QUEUE, "a")).items == tuple(lines)


async def test_each_job_has_its_own_log(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await add_ids(storage, "a", queue="other")
    await storage.log(QUEUE, "a", ["mine"])
    assert (await storage.logs(QUEUE, "b")).total == 0
    assert (await storage.logs("other", "a")).total == 0


async def test_a_finished_jobs_log_stays_and_can_grow(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", ["during"])
    await run_through(storage, Completed(), now=T0 + 1)
    assert await storage.log(QUEUE, "a", ["after"]) == 2


async def test_logging_no_line_answers_how_many_there_are(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", ["one"])
    await tape.events()
    assert await storage.log(QUEUE, "a", []) == 1
    assert await tape.told() == []
