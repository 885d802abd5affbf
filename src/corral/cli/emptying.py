"""`corral queues limit | drain | obliterate`."""

import re

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.failures import CONFLICT, fail
from corral.cli.operating import emptied
from corral.cli.render import Printer
from corral.cli.session import ask, complete, known
from corral.cli.shared import command, reads
from corral.cli.values import duration
from corral.errors import ConfigError
from corral.plurals import plural

_RATE = re.compile(r"(\d+)/(.+)")
QUEUE = click.argument("queue", shell_complete=complete("queue"))
NONE = "none"


def rate(text: str) -> tuple[int, float] | str:
    """`10/1s`: so many in each window; or `none`.

    Raises:
        ConfigError: anything else.
    """
    if text == NONE:
        return NONE
    found = _RATE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is not a rate; write 10/1s, 100/1m or none")
    return int(found[1]), duration(found[2] if found[2][0].isdigit() else f"1{found[2]}")


def how_many(text: str) -> int | str:
    """A number of 1 or more, or `none`.

    Raises:
        ConfigError: anything else.
    """
    if text == NONE:
        return NONE
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{text!r} is not a number of 1 or more; write none for no bound")
    return int(text)


@command("limit")
@QUEUE
@click.option("--concurrency", callback=reads(how_many), metavar="N", help="Jobs at once over all workers, or none.")
@click.option("--rate", "starts", callback=reads(rate), metavar="N/TIME", help="Starts in each window: 10/1s, or none.")
def limit(queue: str, concurrency: int | str | None, starts: tuple[int, float] | str | None) -> None:
    """Set how many jobs of a queue may run at once and how many may start in a time, over all workers."""
    change: dict[str, object] = {}
    if concurrency is not None:
        change["concurrency"] = None if concurrency == NONE else concurrency
    if starts is not None:
        change["rate"] = None if starts == NONE else starts
    if not change:
        raise click.UsageError("say --concurrency or --rate")
    printer = Printer.current()

    async def work(back: Backend) -> Row:
        await known(back, (queue,))
        if printer.chosen.dry_run:
            return await back.queue(queue)
        return await back.limit(queue, change)

    now = ask(work)
    printer.record({key: now.get(key) for key in ("queue", "concurrency", "rate_limit")})


@command("drain")
@QUEUE
@click.option("--delayed", is_flag=True, help="Also what is due later.")
def drain(queue: str, delayed: bool) -> None:
    """Delete what waits in a queue. Running jobs go on. It cannot be undone, so it asks."""
    printer = Printer.current()
    dry = printer.chosen.dry_run

    async def work(back: Backend) -> int:
        await known(back, (queue,))
        waiting = await back.drainable(queue, delayed=delayed)
        if dry:
            return waiting
        printer.confirm(f"Delete {plural(waiting, 'job that waits', 'jobs that wait')} in {queue}?", word=queue)
        return await emptied(
            printer, back, waiting, lambda background: back.drain(queue, delayed=delayed, background=background)
        )

    removed = ask(work)
    printer.record(
        {"queue": queue, "removed": 0, "would_remove": removed} if dry else {"queue": queue, "removed": removed}
    )


@command("obliterate")
@QUEUE
@click.option("--force", is_flag=True, help="Even while jobs of it run; their results are lost.")
def obliterate(queue: str, force: bool) -> None:
    """Delete a queue and everything in it: jobs in every state, settings, schedules' jobs, figures. It asks first."""
    printer = Printer.current()

    async def work(back: Backend) -> Row:
        await known(back, (queue,))
        row = await back.counts(queue)
        states = ("waiting", "active", "delayed", "completed", "failed")
        kept = sum(count for key in states if isinstance(count := row[key], int))
        if row["active"] and not force:
            fail(f"active jobs of {queue}: {row['active']}; wait for them, or say --force", CONFLICT)
        if printer.chosen.dry_run:
            return {"queue": queue, "removed": 0, "would_remove": kept}
        printer.confirm(f"Delete queue {queue} with {plural(kept, 'job')}?", word=queue)
        await emptied(
            printer, back, kept, lambda background: back.obliterate(queue, force=force, background=background)
        )
        return {"queue": queue, "removed": kept}

    printer.record(ask(work))
