"""Contradictions inside the file: counters that are wrong, tokens of runs that are over, damaged pages."""

from collections.abc import Iterator

import apsw

from corral.storage.flaw import Defect, Flaw
from corral.storage.sqlite.file import connect, translate
from corral.storage.sqlite.url import parse

#: The counters of a queue, by the states that they count (6 and 7: held jobs and those of groups wait too).
COUNTERS = {
    "waiting": (0, 6, 7), "delayed": (1,), "active": (2,), "children": (3,), "completed": (4,), "failed": (5,),
}  # fmt: skip
_COUNT = "SELECT count(*) FROM corral_job WHERE queue = ? AND state IN ({})"
#: States in which nobody runs a job; of each the first so many are looked at: payloads may lie between them.
IDLE, LOOKED = (0, 1, 3, 4, 5, 6, 7), 10_000
_LOCKED = (
    "SELECT pk, COALESCE(id, pk & 1099511627775) FROM (SELECT pk, id, token FROM corral_job "
    "WHERE queue = ? AND state = ? LIMIT ?) WHERE token IS NOT NULL"
)
#: A larger file is not read through for damage: 100 MB take a second.
READ = 1_000_000_000


def flaws(address: str) -> list[Flaw]:
    """Look through the file at a URL. Raises: StorageError."""
    url = parse(address)
    if url.memory:
        return []
    try:
        db = connect(url, read_only=True)
        try:
            # One transaction: counters and counts are of one moment, whatever workers do meanwhile.
            db.execute("BEGIN")
            found = [
                flaw for queue, name in _queues(db) for flaw in (*_counts(db, queue, name), *_locks(db, queue, name))
            ]
            db.execute("COMMIT")
            return [*_damage(db), *found]
        finally:
            db.close()
    except apsw.Error as error:
        raise translate(error, url.path) from None


def _queues(db: apsw.Connection) -> list[tuple[int, str]]:
    return [(int(str(pk)), str(name)) for pk, name in db.execute("SELECT pk, name FROM corral_queue")]


def _counts(db: apsw.Connection, queue: int, name: str) -> Iterator[Flaw]:
    wrong = {}
    for counter, states in COUNTERS.items():
        marks = ", ".join("?" * len(states))
        says = _number(db, f"SELECT {counter} FROM corral_queue WHERE pk = ?", queue)  # noqa: S608  # a column of ours
        there = _number(db, _COUNT.format(marks), queue, *states)
        if says != there:
            wrong[counter] = says - there
    if wrong:
        yield Flaw(defect=Defect.COUNT, queue=name, count=len(wrong), where=wrong)


def _locks(db: apsw.Connection, queue: int, name: str) -> Iterator[Flaw]:
    ids = [str(job) for _, job in _locked(db, queue)]
    if ids:
        yield Flaw(defect=Defect.LOCK, queue=name, count=len(ids), ids=tuple(ids[:10]))


def _locked(db: apsw.Connection, queue: int) -> list[tuple[int, str]]:
    """Keys and ids of jobs that have a token though nobody runs them."""
    rows = [row for state in IDLE for row in db.execute(_LOCKED, (queue, state, LOOKED))]
    return [(int(str(pk)), str(job_id)) for pk, job_id in rows]


def _damage(db: apsw.Connection) -> Iterator[Flaw]:
    pages = _number(db, "PRAGMA page_count") * _number(db, "PRAGMA page_size")
    if pages > READ:
        return
    said = [str(row[0]) for row in db.execute("PRAGMA quick_check(5)")]
    if said != ["ok"]:
        yield Flaw(defect=Defect.DAMAGE, queue="", count=len(said), text="; ".join(said))


def _number(db: apsw.Connection, query: str, *values: int) -> int:
    [[found]] = db.execute(query, values)
    return int(str(found))


def mend(address: str, flaw: Flaw) -> bool:
    """Put one of them right, in one transaction; whether anything changed. Raises: StorageError."""
    url = parse(address)
    try:
        db = connect(url)
        try:
            db.execute("BEGIN IMMEDIATE")
            before = db.total_changes()
            for queue, name in _queues(db):
                if name == flaw.queue and flaw.defect is Defect.COUNT:
                    _recount(db, queue)
                elif name == flaw.queue and flaw.defect is Defect.LOCK:
                    for pk, _ in _locked(db, queue):
                        db.execute("UPDATE corral_job SET token = NULL WHERE pk = ? AND state != 2", (pk,))
            changed = db.total_changes() > before
            db.execute("COMMIT")
            return changed
        finally:
            db.close()
    except apsw.Error as error:
        raise translate(error, url.path) from None


def _recount(db: apsw.Connection, queue: int) -> None:
    for counter, states in COUNTERS.items():
        marks = ", ".join("?" * len(states))
        there = _number(db, _COUNT.format(marks), queue, *states)
        db.execute(f"UPDATE corral_queue SET {counter} = ? WHERE pk = ?", (there, queue))  # noqa: S608  # as above
