"""`corral jobs clean`: delete finished jobs that are old enough, of every queue."""

from collections.abc import Sequence

import click
from msgspec import Struct

from corral.cli.queues import known_queues
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.store import current_settings, open_store, run
from corral.cli.values import duration
from corral.errors import ConfigError, closest
from corral.job import FINISHED, JobState
from corral.queue import Queue
from corral.storage.port import QueueCounts

DEFAULT_AGE = 86_400.0  #: seconds; failed jobs are kept a day for whoever looks into them
NO_LIMIT = 1_000_000_000


class Cleaned(Struct, frozen=True):
    """What was deleted from one queue, and what is in it now."""

    completed: int
    failed: int
    now: QueueCounts


def states(text: str) -> frozenset[JobState]:
    """`completed`, `failed`, or both with a comma.

    Raises:
        ConfigError: another word.
    """
    words = {word.strip().lower() for word in text.split(",") if word.strip()}
    known = sorted(str(state) for state in FINISHED)
    for word in words:
        if word not in known:
            near = closest(word, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"{word!r} is not a finished state; write {' or '.join(known)}{hint}")
    return frozenset(JobState(word) for word in words)


@command("clean")
@click.option("--queue", multiple=True, metavar="NAME", help="Only this queue; may be repeated.")
@click.option("--state", default="completed,failed", callback=reads(states), metavar="STATES", show_default=True,
              help="Which finished jobs.")  # fmt: skip
@click.option("--older-than", callback=reads(duration), metavar="DURATION",
              help="Ended at least this long ago (JOB_RETENTION_HOURS, else 24h).")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many of each state and queue.")
def clean(queue: tuple[str, ...], state: frozenset[JobState], older_than: float | None, limit: int | None) -> None:
    """Delete completed and failed jobs that ended long enough ago, and show what is left.

    Jobs that wait, run or are due later are never touched.
    """
    printer = Printer.current()
    hours = current_settings().retention_hours
    age = older_than if older_than is not None else DEFAULT_AGE if hours is None else hours * 3_600
    if printer.for_people:
        printer.line("🧹 Cleaning job queues...")
    done = run(_clean(printer, queue, state, age, limit or NO_LIMIT))
    if not printer.for_people:
        printer.rows((), [_row(one) for one in done])


async def _clean(
    printer: Printer, names: tuple[str, ...], which: frozenset[JobState], age: float, limit: int
) -> Sequence[Cleaned]:
    done = []
    async with open_store() as storage:
        for queue in await known_queues(storage, names or tuple(info.name for info in await storage.queues())):
            one = await _clean_one(queue, which, age, limit)
            done.append(one)
            if printer.for_people:
                _report(printer, one)
    return done


async def _clean_one(queue: Queue, which: frozenset[JobState], age: float, limit: int) -> Cleaned:
    async def removed(state: JobState) -> int:
        return len(await queue.clean(state, older_than=age, limit=limit)) if state in which else 0

    return Cleaned(await removed(JobState.COMPLETED), await removed(JobState.FAILED), await queue.counts())


def _report(printer: Printer, one: Cleaned) -> None:
    # These lines are the guides' own, to the character: scripts may look for them.
    name, now = one.now.queue, one.now
    if one.completed:
        printer.line(f"✅ Cleaned {one.completed} completed jobs from {name}")
    if one.failed:
        printer.line(f"❌ Cleaned {one.failed} failed jobs from {name}")
    printer.line(
        f"📊 {name}: waiting={now.waiting}, active={now.active}, completed={now.completed}, failed={now.failed}"
    )


def _row(one: Cleaned) -> dict[str, object]:
    now = one.now
    left = {"waiting": now.waiting, "active": now.active, "completed": now.completed, "failed": now.failed}
    return {"queue": now.queue, "cleaned_completed": one.completed, "cleaned_failed": one.failed, **left}
