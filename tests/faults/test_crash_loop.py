"""The crash loop, short enough for every day, and the checker's own test: it must find what is broken."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Token
from tests.faults import ledger
from tests.faults.actors import Scene
from tests.faults.forks import Ledger, lines
from tests.faults.helpers import needs_root, torture

KILLS = 80
#: A slow machine that does everything at once may take its time to open a store.
PATIENT = ("--slowest-open", 60_000)


@pytest.mark.slow  # 80 processes live and die
@pytest.mark.timeout(300)
def test_killed_workers_lose_nothing_and_finish_nothing_twice() -> None:
    tally = torture("tests.faults.torture", "--kills", KILLS, "--every", 40, "--seed", 7, *PATIENT)
    assert (tally["kills"], tally["violations"]) == (KILLS, [])
    assert int(str(tally["checks"])) >= 2
    assert (tally["lost"], tally["stuck"], tally["twice"]) == (0, 0, 0)
    assert int(str(tally["jobs"])) > KILLS  # the workers lived long enough to do something
    assert int(str(tally["crashes_recorded"])) > 0  # and were killed while they did
    assert int(str(tally["steps"])) > 0  # of jobs with steps
    assert int(str(tally["merges"])) > 0  # and of jobs that wait for others


@needs_root
@pytest.mark.slow  # makes, mounts and copies a file system three times
@pytest.mark.timeout(300)
def test_three_power_cuts_lose_no_acknowledged_job() -> None:
    tally = torture("tests.faults.power_cut", "--cuts", 3, "--seed", 7)
    assert (tally["cuts"], tally["lost"], tally["inconsistent"], tally["complaints"]) == (3, 0, 0, [])
    assert int(str(tally["acked"])) > 0


# -- the checker -------------------------------------------------------------------------------------------------------


async def history(scene: Scene) -> None:
    """Two jobs that went well: one completed, one failed its first attempt to live on as completed, one bulk of two."""
    acks, effects, verdicts = Ledger(scene.acks), Ledger(scene.effects), Ledger(scene.verdicts)
    async with connect(scene.url) as storage:
        bulk = '{"bulk":"b","size":2}'
        await storage.add([NewJob(queue="main", name="quick", data=bulk)] * 2)
        token = Token("t")
        claimed = await storage.claim("main", Claim(count=2, token=token, lease_ms=60_000))
        verdict = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed.jobs]
        await storage.settle("main", verdict)
        await storage.log("main", "1", ["a line"])
    for job_id in ("1", "2"):
        acks.write("main", job_id)
        effects.write("main", job_id, 1, 4711)
        verdicts.write("main", job_id, 1, 4711)


def sql(statement: str) -> Callable[[Scene], None]:
    """A fault in the store."""

    def damage(scene: Scene) -> None:
        db = apsw.Connection(str(scene.database))
        db.execute(statement)
        db.close()

    return damage


def noted(path: Callable[[Scene], Path], *words: object) -> Callable[[Scene], None]:
    """A line that should not be in a ledger."""
    return lambda scene: Ledger(path(scene)).write(*words)


def both(*damages: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """One fault after the other."""

    def damage(scene: Scene) -> None:
        for one in damages:
            one(scene)

    return damage


def step(path: Callable[[Scene], Path], run: int, *value: str) -> Callable[[Scene], None]:
    """A step of the first job, in this run of it."""
    return noted(path, "main", "1", "step-0", run, *value)


FAULTS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "a job is gone": (sql("DELETE FROM corral_job WHERE pk % 16 = 2"), "lost: main/2"),
    "half a bulk is gone": (sql("DELETE FROM corral_job WHERE pk % 16 = 2"), "torn: 1 of 2"),
    "a job waits for ever": (sql("UPDATE corral_job SET state = 0 WHERE pk % 16 = 2"), "stuck: main/2"),
    "a job is held for ever": (sql("UPDATE corral_job SET state = 6 WHERE pk % 16 = 2"), "stuck: main/2"),
    "a counter drifts": (sql("UPDATE corral_queue SET completed = completed + 1"), "counter: main says 3 completed"),
    "a total counts twice": (sql("UPDATE corral_queue SET completed_total = 3"), "total: main says 3 ever completed"),
    "a verdict counts twice": (sql("UPDATE corral_job SET attempts_made = 2"), "twice: main/1 is completed after 2"),
    "a verdict has no claim": (
        sql("UPDATE corral_job SET attempts_started = 0 WHERE pk % 16 = 1"),
        "account: main/1 was claimed 0 times",
    ),
    "a log survives its job": (sql("UPDATE corral_log SET job = 999"), "orphan: a log line without its job"),
    "a lease survives its job": (sql("UPDATE corral_job SET token = 't'"), "orphan: a job with a token"),
    "a completion is undone": (sql("UPDATE corral_job SET state = 5 WHERE pk % 16 = 1"), "undone: main/1"),
    "a job completes twice": (
        noted(lambda scene: scene.verdicts, "main", "1", 1, 4712),
        "twice: main/1 was completed 2",
    ),
    "a stale verdict is accepted": (
        sql("UPDATE corral_job SET attempts_started = 2, crashes = 1"),
        "by run 1 when run 2 held the lease",
    ),
    "a fence is used twice": (noted(lambda scene: scene.effects, "main", "1", 1, 4712), "under one fence"),
    "a run without a claim": (noted(lambda scene: scene.effects, "main", "1", 2, 4712), "called 2 times in 1 claims"),
    "a group counts what is not there": (
        sql("INSERT INTO corral_group VALUES (1, 'g', NULL, NULL, 0, 1, 0, 0, NULL, NULL)"),
        "counter: group g says (1, 0, 0)",
    ),
    "a group of which nothing is left": (
        sql("INSERT INTO corral_group VALUES (1, 'g', NULL, NULL, 0, 0, 0, 0, NULL, NULL)"),
        "orphan: a group of which nothing is left",
    ),
    "a run that its group does not know": (
        sql("UPDATE corral_job SET gid = 'g', state = 2, token = 't' WHERE pk % 16 = 1"),
        "counter: group g says (0, 0, 0)",
    ),
    "a deduplication id outlives its owner": (
        sql("INSERT INTO corral_dedup VALUES (1, 'x', '1', NULL, NULL)"),
        "orphan: a deduplication id whose owner",
    ),
    "an edge to nobody": (sql("INSERT INTO corral_after VALUES (1, 2, 'fail')"), "orphan: an edge without its jobs"),
    "a parent waits for nothing": (sql("UPDATE corral_job SET state = 3"), "orphan: a parent that waits for nothing"),
    "what was to be added is not there": (
        sql("UPDATE corral_job SET name = 'errand' WHERE pk % 16 = 1"),
        "torn: main/1 is completed, but for what it adds",
    ),
    "a finished step is begun again": (
        both(step(lambda scene: scene.done, 1, "x"), step(lambda scene: scene.begun, 2)),
        "ended in run 1 and was begun again in run 2",
    ),
    "a step has two answers": (
        both(step(lambda scene: scene.done, 1, "x"), step(lambda scene: scene.done, 2, "y")),
        "twice: step-0 of main/1 answered 2 different values",
    ),
    "a parent ran too early": (noted(lambda scene: scene.merges, "main", "1", 2, 1, 0, 1), "early: main/1 ran"),
    "a parent misses a result": (
        noted(lambda scene: scene.merges, "main", "1", 2, 1, 0, 0),
        "lost: main/1 waits for 2 jobs and knows of 1 + 0",
    ),
    "what was kept back is never added": (noted(lambda scene: scene.kept, "x"), "lost: x was kept back and never"),
    "an ack for nothing": (noted(lambda scene: scene.acks, "main", "99"), "lost: main/99"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_checker_finds_what_is_broken(fault: str, tmp_path: Path) -> None:
    damage, complaint = FAULTS[fault]
    scene = Scene(tmp_path)
    await history(scene)
    assert ledger.check(scene)[1] == []
    damage(scene)
    assert [found for found in ledger.check(scene)[1] if complaint in found] != []


async def test_the_checker_finds_a_completed_job_that_never_ran(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await history(scene)
    scene.effects.write_text("\n".join(lines(scene.effects)[1:]) + "\n")
    assert ledger.check(scene)[1] == ["ghost: main/1 is completed and never ran"]
