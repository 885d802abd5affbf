"""The checker: what the store says against what was written down outside of it. Every complaint is one sentence."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.faults import promises
from tests.faults.actors import LEAN, Scene
from tests.faults.books import Key, Row, StoreBooks, Totals
from tests.faults.forks import lines
from tests.faults.redis_books import RedisBooks
from tests.faults.sqlite_books import SqliteBooks

#: Verdicts with which a job completes, where they are not one: its first attempt fails, or may have failed.
MADE = {"flaky": (2,), "stubborn": (1, 2)}


@dataclass
class Books:
    """Everything that is known about the jobs, from both sides."""

    acked: set[Key]
    effects: dict[Key, list[tuple[int, int]]]  #: (fence, pid) of each call
    verdicts: dict[Key, list[int]]  #: fence of each accepted completion
    rows: dict[Key, Row]
    totals: dict[str, Totals]


def store_books(scene: Scene) -> StoreBooks:
    """The store's side."""
    return SqliteBooks(scene) if scene.engine == "sqlite" else RedisBooks(scene.url)


def read(scene: Scene, store: StoreBooks) -> Books:
    """Gather the books. The store must be at rest."""
    effects: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
    for queue, job_id, fence, pid in (line.split() for line in lines(scene.effects)):
        effects[queue, job_id].append((int(fence), int(pid)))
    verdicts: defaultdict[Key, list[int]] = defaultdict(list)
    for queue, job_id, fence, _ in (line.split() for line in lines(scene.verdicts)):
        verdicts[queue, job_id].append(int(fence))
    return Books(acked(scene), dict(effects), dict(verdicts), store.rows(), store.totals())


def acked(scene: Scene) -> set[Key]:
    """Every job whose `add` returned."""
    return {(queue, job_id) for queue, job_id in (line.split() for line in lines(scene.acks))}


def check(
    scene: Scene, *, drained: bool = True, forgiven: frozenset[Key] = frozenset(), untouched: bool = True
) -> tuple[Books, list[str]]:
    """Every invariant, on a store that nobody uses.

    `drained`: all work is supposed to be done. `forgiven`: jobs that somebody harmed by hand. The queues' totals and
    settings may have gone with them (`untouched=False`): they say nothing then, and finished jobs may be missing.
    """
    with closing(store_books(scene)) as store:
        books = read(scene, store)
        books.acked -= forgiven
        found = [*store.audit(books.rows, drained=drained, forgiven=forgiven)]
        found += [*(_bulks(books) if untouched else ()), *_conserved(books, kept=untouched)]
        found += [complaint for key in books.rows if key not in forgiven for complaint in _account(books, key)]
        found += [*_errands(books), *promises.steps(scene), *promises.merges(scene)]
        if drained:
            found += [
                *promises.kept(scene, _bulk_names(books)),
                *_rest(books, forgiven),
                *(_totals(books) if untouched else ()),
            ]
    return books, found


def check_after_cut(scene: Scene, *, drained: bool) -> tuple[Books, list[str], list[str]]:
    """What a store says after the power was cut: what it lost, and what is inconsistent in it.

    Until it is `drained`, everything that was acknowledged, called or settled before the cut must be in it. Afterwards
    the ledgers know less than the store, so that only the store itself is asked.
    """
    with closing(store_books(scene)) as store:
        books = read(scene, store)
        if not books.totals:  # not even the tables reached the disk
            return books, list(_conserved(books)), list(store.audit(books.rows, drained=drained))
        lost = [*_conserved(books), *([] if drained else _durable(books))]
        broken = [*store.audit(books.rows, drained=drained), *_bulks(books), *(_rest(books) if drained else [])]
    return books, lost, broken


def _durable(books: Books) -> Iterator[str]:
    """Claims that led to a call, and completions that were heard of, are in the store."""
    for (queue, job_id), accepted in books.verdicts.items():
        row = books.rows.get((queue, job_id))
        if queue == "main" and (row is None or row.state != "completed" or len(accepted) > 1):
            yield f"lost: the completion of {queue}/{job_id} was accepted, and the store has {row}"
    for (queue, job_id), calls in books.effects.items():
        row = books.rows.get((queue, job_id))
        if queue == "main" and (row is None or len(calls) > row.started):
            yield f"lost: {queue}/{job_id} was called {len(calls)} times, and the store has {row}"


def _conserved(books: Books, *, kept: bool = True) -> Iterator[str]:
    """Every acknowledged job is there, or (where retention deletes) left a completion behind."""
    for queue, job_id in sorted(books.acked - books.rows.keys()):
        if queue != "lean" and kept:
            yield f"lost: {queue}/{job_id} was acknowledged and is gone"
        elif (queue, job_id) not in books.effects:
            yield f"lost: {queue}/{job_id} was acknowledged, never ran, and is gone"


def _account(books: Books, key: Key) -> Iterator[str]:
    """Effects and verdicts of a job fit its record."""
    row, name = books.rows[key], f"{key[0]}/{key[1]}"
    calls = books.effects.get(key, [])
    fences = [fence for fence, _ in calls]
    if len(set(fences)) != len(fences):
        yield f"twice: {name} was called twice under one fence: {calls}"
    if len(calls) > row.started:
        yield f"twice: {name} was called {len(calls)} times in {row.started} claims"
    if row.state == "completed" and not calls:
        yield f"ghost: {name} is completed and never ran"
    accepted = books.verdicts.get(key, [])
    if len(accepted) > 1:
        yield f"twice: {name} was completed {len(accepted)} times"
    if accepted and row.state != "completed":
        yield f"undone: {name} was completed and is {row.state}"
    if accepted and accepted[0] != row.started:
        yield f"twice: {name} was completed by run {accepted[0]} when run {row.started} held the lease"
    if row.state == "completed" and row.made not in MADE.get(row.name, (1,)):
        yield f"twice: {name} is completed after {row.made} verdicts"
    if row.crashes > 2:
        yield f"poison: {name} was recovered {row.crashes} times"


def _rest(books: Books, forgiven: frozenset[Key] = frozenset()) -> Iterator[str]:
    """After draining nothing waits, runs or hangs, and no finished job has more verdicts and crashes than claims."""
    for key, row in books.rows.items():
        queue, job_id = key
        if row.state not in ("completed", "failed"):
            yield f"stuck: {queue}/{job_id} ({row.name}) is {row.state}"
        # More claims than that are well: a stopping worker hands jobs back, uncharged.
        elif row.started < row.made + row.crashes and key not in forgiven:
            yield (
                f"account: {queue}/{job_id} was claimed {row.started} times, with {row.made} verdicts and "
                f"{row.crashes} crashes"
            )


def _totals(books: Books) -> Iterator[str]:
    """The lifetime totals: in `lean` most completed jobs are gone, but each of them left an effect."""
    for queue, counted in books.totals.items():
        if queue not in ("main", "lean"):
            continue  # a harness has been there by itself, and left no effects
        failed = {key for key, row in books.rows.items() if key[0] == queue and row.state == "failed"}
        ran = {key for key in books.effects if key[0] == queue}
        kept = {key for key, row in books.rows.items() if key[0] == queue and row.state == "completed"}
        completed = len(kept if queue == "main" else ran - failed)
        if counted.completed != completed:
            yield f"total: {queue} says {counted.completed} ever completed, {completed} did"
        if counted.failed != len(failed):
            yield f"total: {queue} says {counted.failed} ever failed, {len(failed)} did"
        if queue == "lean" and len(kept) > LEAN:
            yield f"retention: lean keeps {len(kept)} completed jobs"


def _bulks(books: Books) -> Iterator[str]:
    """A bulk is there as a whole or not at all."""
    there = Counter(row.bulk for row in books.rows.values() if row.bulk)
    for data, count in there.items():
        bulk = json.loads(data)
        if bulk["size"] != count:
            yield f"torn: {count} of {bulk['size']} jobs of bulk {bulk['bulk']} are there"


def _bulk_names(books: Books) -> set[str]:
    """The bulks of which a job is there."""
    return {json.loads(row.bulk)["bulk"] for row in books.rows.values() if row.bulk}


def _errands(books: Books) -> Iterator[str]:
    """What a job adds together with its completion is there exactly when it has completed. (`_bulks` counts it.)"""
    there = _bulk_names(books)
    for (queue, job_id), row in books.rows.items():
        if row.name == "errand" and (row.state == "completed") != (f"errand-{job_id}" in there):
            yield f"torn: {queue}/{job_id} is {row.state}, but for what it adds it is the other way round"


def noise(path: Path) -> list[str]:
    """Lines of the processes' standard error that mean a mistake of theirs."""
    words = ("Traceback", "never retrieved", "never awaited", "Fatal", "Error")
    return [f"said: {line[:300]}" for line in lines(path) if any(word in line for word in words)]
