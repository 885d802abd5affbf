"""`corral jobs clean` and `corral queues clean`: delete finished jobs that are old enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import click
from msgspec import Struct

from corral.cli import operating
from corral.cli.backend.port import Backend, Row
from corral.cli.queues import MATCH, NAMES, meant
from corral.cli.render import Printer
from corral.cli.session import ask, complete, known
from corral.cli.settings import load_settings
from corral.cli.shared import command, reads
from corral.cli.values import duration
from corral.errors import ConfigError, closest
from corral.job import FINISHED, JobState

DEFAULT_AGE = 86_400.0  #: seconds; failed jobs are kept a day for whoever looks into them
NO_LIMIT = 1_000_000_000
MOST = 1_000_000  #: jobs that one call deletes


class Cleaned(Struct, frozen=True):
    """What was deleted from one queue, and what is in it now."""

    completed: int
    failed: int
    now: Row


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


STATE = click.option("--state", default="completed,failed", callback=reads(states), metavar="STATES", show_default=True,
                     help="Which finished jobs.")  # fmt: skip
OLDER = click.option("--older-than", callback=reads(duration), metavar="DURATION",
                     help="Ended at least this long ago (JOB_RETENTION_HOURS, else 24h).")  # fmt: skip
LIMIT = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many of each state.")


@command("clean")
@click.option("--queue", multiple=True, metavar="NAME", help="Only this queue; may be repeated.",
              shell_complete=complete("queue"))  # fmt: skip
@STATE
@OLDER
@LIMIT
def clean(queue: tuple[str, ...], state: frozenset[JobState], older_than: float | None, limit: int | None) -> None:
    """Delete completed and failed jobs that ended long enough ago, and show what is left.

    Jobs that wait, run or are due later are never touched.
    """

    async def names(back: Backend) -> Sequence[str]:
        await known(back, queue)
        return queue or await back.names("queue", "")

    _clean_all(names, state, older_than, limit)


@command("clean")
@NAMES
@MATCH
@STATE
@OLDER
@LIMIT
def clean_queue(
    queue: tuple[str, ...], match: tuple[str, ...], state: frozenset[JobState], older_than: float | None,
    limit: int | None,
) -> None:  # fmt: skip
    """Delete finished jobs of these queues that ended long enough ago, and show what is left."""
    _clean_all(lambda back: meant(back, queue, match), state, older_than, limit)


def _clean_all(
    names: Callable[[Backend], Awaitable[Sequence[str]]], which: frozenset[JobState], older_than: float | None,
    limit: int | None,
) -> None:  # fmt: skip
    printer = Printer.current()
    hours = load_settings().retention_hours
    age = older_than if older_than is not None else DEFAULT_AGE if hours is None else hours * 3_600
    if printer.for_people:
        printer.line("🧹 Cleaning job queues...")

    async def work(back: Backend) -> Sequence[Cleaned]:
        done: list[Cleaned] = []
        try:
            for name in await names(back):
                one = await _clean_one(printer, back, name, which, age, limit or NO_LIMIT)
                done.append(one)
        except asyncio.CancelledError:
            printer.note(f"queues that are through: {len(done)}, with {_total(done):,} jobs removed")
            raise
        if len(done) > 1:
            printer.detail(f"removed {_total(done):,} jobs from {len(done)} queues")
        return done

    done = ask(work)
    if not printer.for_people:
        printer.rows((), [_row(one) for one in done])


async def _clean_one(
    printer: Printer, back: Backend, queue: str, which: frozenset[JobState], age: float, limit: int
) -> Cleaned:
    dry, states = printer.chosen.dry_run, sorted(map(str, which))
    if dry:
        gone = dict(await back.cleanable(queue, states, older_than=age, limit=min(limit, MOST)))
    else:
        gone = {state: await _clean_state(printer, back, queue, state, age, limit) for state in states}
    one = Cleaned(gone.get("completed", 0), gone.get("failed", 0), await back.counts(queue))
    if printer.for_people:
        _report(printer, one, "Would clean" if dry else "Cleaned")
    return one


async def _clean_state(printer: Printer, back: Backend, queue: str, state: str, age: float, limit: int) -> int:
    """Delete what is old enough: a few at once; where there is more, it is counted first, so that a bar has a whole."""
    removed = 0
    while (room := min(limit - removed, MOST)) > 0:
        most = min(room, operating.FEW)
        if cast(int, (await back.counts(queue))[state]) > operating.FEW:
            most = max(most, (await back.cleanable(queue, [state], older_than=age, limit=room))[state])

        def begin(background: bool, most: int = most) -> Awaitable[Row]:
            return back.clean(queue, state, older_than=age, limit=most, background=background)

        gone = await operating.emptied(printer, back, most, begin)
        removed += gone
        if gone < most or operating.FEW < most < room:
            break
    return removed


def _total(done: Sequence[Cleaned]) -> int:
    return sum(one.completed + one.failed for one in done)


def _report(printer: Printer, one: Cleaned, verb: str) -> None:
    # These lines are the guides' own, to the character: scripts may look for them.
    now = one.now
    if one.completed:
        printer.line(f"✅ {verb} {one.completed} completed jobs from {now['queue']}")
    if one.failed:
        printer.line(f"❌ {verb} {one.failed} failed jobs from {now['queue']}")
    counts = ", ".join(f"{state}={now[state]}" for state in ("waiting", "active", "completed", "failed"))
    printer.line(f"📊 {now['queue']}: {counts}")


def _row(one: Cleaned) -> dict[str, object]:
    left = {state: one.now[state] for state in ("waiting", "active", "completed", "failed")}
    return {"queue": one.now["queue"], "cleaned_completed": one.completed, "cleaned_failed": one.failed, **left}
