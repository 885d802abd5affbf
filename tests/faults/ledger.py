"""The checker: what the store says against what was written down outside of it. Every complaint is one sentence."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from corral.storage.sqlite.unit import COMPLETED, COUNTER, FAILED, id_of
from tests.faults.actors import LEAN, Scene
from tests.faults.forks import lines

Key = tuple[str, str]  #: queue, job id


@dataclass(frozen=True)
class Row:
    """A job as the store has it."""

    name: str
    state: int
    started: int  #: claims
    made: int  #: attempts that ended with a verdict
    crashes: int


@dataclass
class Books:
    """Everything that is known about the jobs, from both sides."""

    acked: set[Key]
    effects: dict[Key, list[tuple[int, int]]]  #: (fence, pid) of each call
    verdicts: dict[Key, list[int]]  #: fence of each accepted completion
    rows: dict[Key, Row]
    counters: dict[str, dict[str, int]]
    complaints: list[str] = field(default_factory=list)


def read(scene: Scene, db: apsw.Connection) -> Books:
    """Gather the books. The store must be at rest."""
    effects: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
    for queue, job_id, fence, pid in (line.split() for line in lines(scene.effects)):
        effects[queue, job_id].append((int(fence), int(pid)))
    verdicts: defaultdict[Key, list[int]] = defaultdict(list)
    for queue, job_id, fence, _ in (line.split() for line in lines(scene.verdicts)):
        verdicts[queue, job_id].append(int(fence))
    sql = (
        "SELECT q.name, j.pk, j.id, j.name, j.state, j.attempts_started, j.attempts_made, j.crashes "
        "FROM corral_job j JOIN corral_queue q ON q.pk = j.queue"
    )
    rows = {(row[0], id_of(row[1], row[2])): Row(*row[3:]) for row in db.execute(sql)}
    columns = [*dict.fromkeys(COUNTER), "completed_total", "failed_total"]
    select = f"SELECT name, {', '.join(columns)} FROM corral_queue"
    counters = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in db.execute(select)}
    return Books(acked(scene), dict(effects), dict(verdicts), rows, counters)


def acked(scene: Scene) -> set[Key]:
    """Every job whose `add` returned."""
    return {(queue, job_id) for queue, job_id in (line.split() for line in lines(scene.acks))}


def _made(db: apsw.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'corral_job'").fetchall()[0][0])


def check(scene: Scene, *, drained: bool = True) -> tuple[Books, list[str]]:
    """Every invariant, on a store that nobody uses. `drained`: all work is supposed to be done."""
    with _opened(scene) as db:
        books = read(scene, db)
        found = [*_consistent(db, books), *_conserved(books), *_accounts(books)]
        if drained:
            found += [*_rest(books), *_totals(books)]
    return books, found


def check_after_cut(scene: Scene, *, drained: bool) -> tuple[Books, list[str], list[str]]:
    """What a store says after the power was cut: what it lost, and what is inconsistent in it.

    Until it is `drained`, everything that was acknowledged, called or settled before the cut must be in it. Afterwards
    the ledgers know less than the store, so that only the store itself is asked.
    """
    with _opened(scene) as db:
        books = read(scene, db) if _made(db) else Books(acked(scene), {}, {}, {}, {})
        if not books.counters:  # not even the tables reached the disk
            return books, list(_conserved(books)), list(_file(db))
        lost = [*_conserved(books), *([] if drained else _durable(books))]
        broken = [*_consistent(db, books), *(_rest(books) if drained else [])]
    return books, lost, broken


@contextmanager
def _opened(scene: Scene) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        yield db
    finally:
        db.close()


def _consistent(db: apsw.Connection, books: Books) -> Iterator[str]:
    """What holds at every moment."""
    yield from _file(db)
    yield from _counters(books)
    yield from _orphans(db)
    yield from _bulks(db)


def _durable(books: Books) -> Iterator[str]:
    """Claims that led to a call, and completions that were heard of, are in the store."""
    for (queue, job_id), accepted in books.verdicts.items():
        row = books.rows.get((queue, job_id))
        if queue == "main" and (row is None or row.state != COMPLETED or len(accepted) > 1):
            yield f"lost: the completion of {queue}/{job_id} was accepted, and the store has {row}"
    for (queue, job_id), calls in books.effects.items():
        row = books.rows.get((queue, job_id))
        if queue == "main" and (row is None or len(calls) > row.started):
            yield f"lost: {queue}/{job_id} was called {len(calls)} times, and the store has {row}"


def _file(db: apsw.Connection) -> Iterator[str]:
    for (verdict,) in db.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"integrity_check: {verdict}"


def _conserved(books: Books) -> Iterator[str]:
    """Every acknowledged job is there, or (where retention deletes) left a completion behind."""
    for queue, job_id in sorted(books.acked - books.rows.keys()):
        if queue != "lean":
            yield f"lost: {queue}/{job_id} was acknowledged and is gone"
        elif (queue, job_id) not in books.effects:
            yield f"lost: {queue}/{job_id} was acknowledged, never ran, and is gone"


def _counters(books: Books) -> Iterator[str]:
    """The counters are the cardinalities."""
    actual: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (queue, _), row in books.rows.items():
        actual[queue][COUNTER[row.state]] += 1
    for queue, counted in books.counters.items():
        for column in dict.fromkeys(COUNTER):
            if counted[column] != actual[queue][column]:
                yield f"counter: {queue} says {counted[column]} {column}, there are {actual[queue][column]}"


def _accounts(books: Books) -> Iterator[str]:
    """Effects and verdicts of each job fit its record."""
    for key, row in books.rows.items():
        name = f"{key[0]}/{key[1]}"
        calls = books.effects.get(key, [])
        fences = [fence for fence, _ in calls]
        if len(set(fences)) != len(fences):
            yield f"twice: {name} was called twice under one fence: {calls}"
        if len(calls) > row.started:
            yield f"twice: {name} was called {len(calls)} times in {row.started} claims"
        if row.state == COMPLETED and not calls:
            yield f"ghost: {name} is completed and never ran"
        accepted = books.verdicts.get(key, [])
        if len(accepted) > 1:
            yield f"twice: {name} was completed {len(accepted)} times"
        if accepted and row.state != COMPLETED:
            yield f"undone: {name} was completed and is in state {row.state}"
        if accepted and accepted[0] != row.started:
            yield f"twice: {name} was completed by run {accepted[0]} when run {row.started} held the lease"
        if row.state == COMPLETED and row.made != (2 if row.name == "flaky" else 1):
            yield f"twice: {name} is completed after {row.made} verdicts"
        if row.crashes > 2:
            yield f"poison: {name} was recovered {row.crashes} times"


def _rest(books: Books) -> Iterator[str]:
    """After draining nothing waits, runs or hangs, and no finished job has more verdicts and crashes than claims."""
    for (queue, job_id), row in books.rows.items():
        if row.state not in (COMPLETED, FAILED):
            yield f"stuck: {queue}/{job_id} ({row.name}) is in state {row.state}"
        elif row.started < row.made + row.crashes:  # more is well: a stopping worker hands jobs back, uncharged
            yield (
                f"account: {queue}/{job_id} was claimed {row.started} times, with {row.made} verdicts and "
                f"{row.crashes} crashes"
            )


def _totals(books: Books) -> Iterator[str]:
    """The lifetime totals: in `lean` most completed jobs are gone, but each of them left an effect."""
    for queue, counted in books.counters.items():
        failed = {key for key, row in books.rows.items() if key[0] == queue and row.state == FAILED}
        ran = {key for key in books.effects if key[0] == queue}
        kept = {key for key, row in books.rows.items() if key[0] == queue and row.state == COMPLETED}
        completed = len(kept if queue == "main" else ran - failed)
        if counted["completed_total"] != completed:
            yield f"total: {queue} says {counted['completed_total']} ever completed, {completed} did"
        if counted["failed_total"] != len(failed):
            yield f"total: {queue} says {counted['failed_total']} ever failed, {len(failed)} did"
        if queue == "lean" and len(kept) > LEAN:
            yield f"retention: lean keeps {len(kept)} completed jobs"


def _bulks(db: apsw.Connection) -> Iterator[str]:
    """A bulk is there as a whole or not at all."""
    sql = (
        "SELECT json_extract(data, '$.bulk') AS bulk, json_extract(data, '$.size'), count(*) FROM corral_job "
        "WHERE data LIKE '{\"bulk\"%' GROUP BY bulk"
    )
    for bulk, size, there in db.execute(sql):
        if size != there:
            yield f"torn: {there} of {size} jobs of bulk {bulk} are there"


_ORPHANS = {
    "a log line without its job": "SELECT count(*) FROM corral_log WHERE job NOT IN (SELECT pk FROM corral_job)",
    "a child's record without its parent": (
        "SELECT count(*) FROM corral_child WHERE parent NOT IN (SELECT pk FROM corral_job)"
    ),
    "a job whose queue is gone": "SELECT count(*) FROM corral_job WHERE queue NOT IN (SELECT pk FROM corral_queue)",
    "a job with a token that is not active": "SELECT count(*) FROM corral_job WHERE token IS NOT NULL AND state != 2",
    "an active job without a token": "SELECT count(*) FROM corral_job WHERE token IS NULL AND state = 2",
    "an event from the future": (
        "SELECT count(*) FROM corral_event e JOIN corral_queue q ON q.pk = e.queue WHERE e.seq >= q.next_event"
    ),
}


def _orphans(db: apsw.Connection) -> Iterator[str]:
    for what, sql in _ORPHANS.items():
        count = db.execute(sql).fetchall()[0][0]
        if count:
            yield f"orphan: {what} ({count} of them)"


def noise(path: Path) -> list[str]:
    """Lines of the processes' standard error that mean a mistake of theirs."""
    words = ("Traceback", "never retrieved", "never awaited", "Fatal", "Error")
    return [f"said: {line[:300]}" for line in lines(path) if any(word in line for word in words)]
