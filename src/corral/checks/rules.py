"""The checks on queues, workers and schedules. Pure: facts in, checks out, each with its remedy."""

from collections import Counter
from collections.abc import Iterable, Iterator

from corral.checks.objects import Check, Facts, Verdict
from corral.monitor.words import share, span
from corral.options import Keep
from corral.plurals import plural
from corral.timing import Millis

OVERDUE_MS: Millis = 60_000  #: a due slot that nobody served for this long
TOO_MANY = 0.05  #: share of failures that is no longer noise …
ENOUGH = 20  #: … when at least this many jobs ended
NAMED = 5  #: things that are named in one message; the others are counted
LONG = 1_000_000  #: finished jobs of a queue without a bound


def judge(facts: Facts) -> list[Check]:
    """Every check that needs no more than the facts."""
    return [
        *_workers(facts),
        *_handlers(facts),
        *_paused(facts),
        *_schedules(facts),
        *_errors(facts),
        *_stalled(facts),
        *_retention(facts),
    ]


def _alive(facts: Facts) -> dict[str, int]:
    """Workers that are seen, by queue."""
    return Counter(queue for worker in facts.workers if worker.state != "stale" for queue in worker.queues)


def _workers(facts: Facts) -> Iterator[Check]:
    alive = _alive(facts)
    stuck = [row for row in facts.queues if row.waiting and row.state != "paused" and not alive.get(row.name)]
    for row in stuck:
        ended = row.rates.completed + row.rates.failed
        if row.active or ended:  # Node's workers say nothing of themselves: their work tells
            yield Check(
                name="worker", verdict=Verdict.WARNING, queue=row.name,
                message=f"{row.name}: {row.waiting:,} waiting, no worker of corral; somebody works on it all the same",
                fix="nothing to do if Node's workers serve it",
            )  # fmt: skip
            continue
        oldest = "" if row.oldest_waiting_ms is None else f", the oldest for {span(row.oldest_waiting_ms)}"
        yield Check(
            name="worker", verdict=Verdict.FAILED, queue=row.name,
            message=f"{row.name}: {row.waiting:,} waiting, no worker{oldest}",
            fix=f"corral worker APP --queues {row.name}",
        )  # fmt: skip
    if not stuck:
        count = sum(worker.state != "stale" for worker in facts.workers)
        yield Check(
            name="worker", verdict=Verdict.OK,
            message=f"{count} worker{'' if count == 1 else 's'} alive; every queue with waiting jobs has one",
        )  # fmt: skip


def _handlers(facts: Facts) -> Iterator[Check]:
    """Jobs that no worker of their queue has a handler for: it was started before the handler was there."""
    fine = True
    for queue, names in facts.waiting.items():
        serving = [one for one in facts.workers if queue in one.queues and one.state != "stale" and one.handlers]
        known = {handler.partition("/")[2] for one in serving for handler in one.handlers if _of(handler, queue)}
        if not serving or "*" in known:
            continue
        for name, count in sorted(names.items()):
            if name not in known:
                fine = False
                yield Check(
                    name="handlers", verdict=Verdict.FAILED, queue=queue,
                    message=f"{queue}: {count:,} waiting jobs are called {name}, and none of its {len(serving)} "
                    "workers has a handler for that",
                    fix=f"restart its workers with the code that has it: {_names(one.name for one in serving)}",
                )  # fmt: skip
    for one in facts.workers:
        lacking = sorted(name for name in facts.declared if _serves(one.queues, name) and name not in one.handlers)
        if one.state != "stale" and one.handlers and lacking and not _any(one.handlers, lacking):
            fine = False
            yield Check(
                name="handlers", verdict=Verdict.WARNING,
                message=f"worker {one.name} runs older code: it has no handler for {_names(lacking)}",
                fix=f"restart it: corral workers stop {one.name}",
            )  # fmt: skip
    if fine:
        yield Check(name="handlers", verdict=Verdict.OK, message="every waiting job has a worker that knows it")


def _of(handler: str, queue: str) -> bool:
    return handler.partition("/")[0] == queue


def _serves(queues: tuple[str, ...], handler: str) -> bool:
    return handler.partition("/")[0] in queues


def _any(handlers: tuple[str, ...], lacking: list[str]) -> bool:
    """Whether the worker takes any name of the queues in question."""
    return all(f"{name.partition('/')[0]}/*" in handlers for name in lacking)


def _names(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:NAMED]) + (f" and {len(every) - NAMED} more" if len(every) > NAMED else "")


def _paused(facts: Facts) -> Iterator[Check]:
    held = [row for row in facts.queues if row.state == "paused" and row.waiting]
    for row in held:
        reason = f' ("{row.pause_reason}")' if row.pause_reason else ""
        yield Check(
            name="paused", verdict=Verdict.FAILED, queue=row.name,
            message=f"{row.name} is paused{reason} while {plural(row.waiting, 'job waits', 'jobs wait')}",
            fix=f"corral queues resume {row.name}",
        )  # fmt: skip
    if not held:
        yield Check(name="paused", verdict=Verdict.OK, message="no paused queue holds jobs back")


def _schedules(facts: Facts) -> Iterator[Check]:
    scheduling = any(worker.state != "stale" for worker in facts.workers)
    fine = True
    for row in facts.schedules:
        if row.state == "lost":
            fine = False
            yield Check(
                name="schedules", verdict=Verdict.FAILED, queue=row.queue, fixable=True,
                message=f"{row.key} of {row.queue} has no next run although it has not ended",
                fix=f"corral schedules repair {row.key}; a worker's scheduler arms it within 30 s",
            )  # fmt: skip
        elif row.overdue_ms > OVERDUE_MS:
            fine = False
            way = (
                "look into the workers' logs: none of their schedulers serves it"
                if scheduling
                else "corral worker APP (without --no-scheduler)"
            )
            yield Check(
                name="schedules", verdict=Verdict.FAILED, queue=row.queue,
                message=f"{row.key} of {row.queue} was due {span(row.overdue_ms)} ago", fix=way,
            )  # fmt: skip
    if fine:
        count = len(facts.schedules)
        what = "no schedules" if not count else f"{count} schedule{'' if count == 1 else 's'}, none overdue"
        yield Check(name="schedules", verdict=Verdict.OK, message=what)


def _errors(facts: Facts) -> Iterator[Check]:
    fine = True
    for row in facts.queues:
        part, ended = row.rates.failure_share, row.rates.completed + row.rates.failed
        if not part:
            continue
        fine = False
        last = facts.failures.get(row.name)
        reason = "" if last is None else f"; last: {last.failed_reason}"
        look = "corral failures list --queue " + row.name
        if last is not None:
            look = f"corral jobs show {last.id} --queue {row.name}; after mending: corral jobs retry --queue {row.name}"
        grave = part > TOO_MANY and ended >= ENOUGH
        yield Check(
            name="errors", verdict=Verdict.FAILED if grave else Verdict.WARNING, queue=row.name,
            message=f"{row.name}: {share(part)} of {plural(ended, 'job')} failed in {span(row.rates.window_ms)}"
            f"{reason}",
            fix=look,
        )  # fmt: skip
    if fine:
        yield Check(name="errors", verdict=Verdict.OK, message="no job failed within the last 15 minutes")


def _stalled(facts: Facts) -> Iterator[Check]:
    gone = [one for one in facts.workers if one.state == "stale" and one.busy]
    for one in gone:
        yield Check(
            name="stalled", verdict=Verdict.WARNING, fixable=True,
            message=f"worker {one.name} was not seen for {span(one.silent_ms)} and had {plural(one.busy, 'job')}",
            fix="other workers take them back when the leases run out; corral doctor --fix D14 does it now",
        )  # fmt: skip
    if not gone:
        yield Check(name="stalled", verdict=Verdict.OK, message="no job is on a worker that is gone")


def _retention(facts: Facts) -> Iterator[Check]:
    fine = True
    kept = {row.name: row for row in facts.queues}
    for info in facts.infos:
        row = kept.get(info.name)
        for state, keep, count in (
            ("completed", info.keep_completed, row.completed if row else 0),
            ("failed", info.keep_failed, row.failed if row else 0),
        ):
            if keep == Keep() or count > LONG:
                fine = False
                yield Check(
                    name="retention", verdict=Verdict.WARNING, queue=info.name,
                    message=f"{info.name}: {count:,} {state} kept, and nothing bounds them",
                    fix=f"keep_{state}= in the application; corral queues clean {info.name} now",
                )  # fmt: skip
    if fine:
        yield Check(name="retention", verdict=Verdict.OK, message="finished jobs are bounded")
