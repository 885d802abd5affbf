"""What only some jobs have costs the others no statement: the plain path of SQLite, counted."""

import apsw
import pytest

from corral.job import NewJob
from corral.outcome import Completed, Failed, Retried
from corral.storage.port import Claim, Settlement, Token
from corral.storage.sqlite.add import add
from corral.storage.sqlite.claim import claim
from corral.storage.sqlite.file import connect, migrate
from corral.storage.sqlite.settle import settle
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import parse

from .helpers import LEASE, QUEUE, T0

#: What version 1 needed for ten plain jobs. Looking for the queue is one of each, the minute's figures are two.
ADD, CLAIM, COMPLETE, RETRY, FAIL = 11, 3, 5, 24, 14


def counted(db: apsw.Connection) -> list[str]:
    """The statements from here on."""
    seen: list[str] = []

    def trace(_: apsw.Cursor, sql: str, __: object) -> bool:
        seen.append(sql)
        return True

    db.exec_trace = trace
    return seen


def open_queue(jobs: int) -> apsw.Connection:
    url = parse("sqlite:///:memory:")
    db = connect(url)
    migrate(db, url.path)
    unit = Unit(db)
    add(unit, [NewJob(queue=QUEUE, name="x") for _ in range(jobs)], T0)
    unit.flush()
    return db


def work(db: apsw.Connection, outcome: Completed | Retried | Failed) -> list[str]:
    """Claim ten jobs and settle them; the statements of settling."""
    unit = Unit(db)
    jobs = claim(unit, QUEUE, Claim(count=10, token=Token("t"), lease_ms=LEASE), T0).jobs
    unit.flush()
    seen = counted(db)
    verdicts = [Settlement(job_id=job.id, token=Token("t"), outcome=outcome) for job in jobs]
    assert settle(Unit(db), QUEUE, verdicts, T0) == {}
    return seen


def test_adding() -> None:
    db = open_queue(1)
    seen = counted(db)
    add(Unit(db), [NewJob(queue=QUEUE, name="x") for _ in range(10)], T0)
    assert len(seen) == ADD


def test_claiming() -> None:
    db = open_queue(10)
    seen = counted(db)
    claimed = claim(Unit(db), QUEUE, Claim(count=10, token=Token("t"), lease_ms=LEASE), T0)
    assert len(claimed.jobs) == 10
    assert len(seen) == CLAIM


@pytest.mark.parametrize(
    ("outcome", "statements"), [(Completed(), COMPLETE), (Retried(5, "busy"), RETRY), (Failed("no"), FAIL)]
)
def test_settling(outcome: Completed | Retried | Failed, statements: int) -> None:
    assert len(work(open_queue(10), outcome)) == statements
