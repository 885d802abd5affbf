"""`corral queues`: look at queues, pause, resume, limit, drain, clean and obliterate them."""

from collections.abc import Sequence

import click

from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.cells import share, span
from corral.cli.columns import QUEUES
from corral.cli.failures import NOT_FOUND, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.session import ask, complete, known, look
from corral.cli.shared import command, reads
from corral.cli.values import duration
from corral.cli.watching import EVERY, until_enough, watch

COMMANDS = {
    "list": ("corral.cli.queues:list_queues", "Every queue, with its counts."),
    "show": ("corral.cli.queues:show", "One queue: counts, limits, rates."),
    "pause": ("corral.cli.queues:pause", "Stop handing out a queue's jobs; running ones finish."),
    "resume": ("corral.cli.queues:resume", "Hand out jobs again."),
    "limit": ("corral.cli.emptying:limit", "How many jobs at once, how many in a time."),
    "drain": ("corral.cli.emptying:drain", "Delete what waits."),
    "clean": ("corral.cli.clean:clean_queue", "Delete finished jobs that are old enough."),
    "obliterate": ("corral.cli.emptying:obliterate", "Delete a queue and everything in it."),
}
NAMES = click.argument("queue", nargs=-1, metavar="QUEUE...", shell_complete=complete("queue"))
MATCH = click.option("--match", multiple=True, metavar="PATTERN", help="Only queues of such names: mail*.")


@click.group("queues", cls=LazyGroup, lazy=COMMANDS)
def queues() -> None:
    """Look at queues, pause, resume, limit, drain, clean and obliterate them."""


@command("list")
@MATCH
@click.option("--watch", "interval", is_flag=False, flag_value=f"{EVERY:g}s", callback=reads(duration),
              metavar="[DURATION]", help="Again and again, every 2s or so often; q ends it.")  # fmt: skip
def list_queues(match: tuple[str, ...], interval: float | None) -> None:
    """Every queue of the store, with its counts. The sign in front: ✕ is critical, ▲ a warning, · a note."""
    printer = Printer.current()

    async def work(back: Reading) -> None:
        async def listed() -> Sequence[Row]:
            rows = await back.queues(match)
            return [*rows, _total(rows)] if printer.watched and len(rows) > 1 else rows

        if interval is not None:
            await watch(printer, QUEUES, listed, interval)
            return
        printer.rows(QUEUES, await listed())

    with until_enough(interval):
        look(work)


def _total(rows: Sequence[Row]) -> Row:
    """The line below, for people: a program can add up by itself."""
    keys = ("waiting", "active", "delayed", "completed", "failed")
    return {"queue": "total", "state": "", "workers": "", "oldest_s": max(_numbers(rows, "oldest_s"), default=None),
            "done_per_min": round(sum(_numbers(rows, "done_per_min")), 2),
            **{key: round(sum(_numbers(rows, key))) for key in keys}}  # fmt: skip


def _numbers(rows: Sequence[Row], key: str) -> list[float]:
    return [value for row in rows if isinstance(value := row[key], int | float)]


@command("show")
@click.argument("queue", shell_complete=complete("queue"))
def show(queue: str) -> None:
    """One queue: counts, limits, and the figures of the last 15 minutes."""

    async def work(back: Reading) -> Row:
        await known(back, (queue,))
        return await back.queue(queue)

    printer = Printer.current()
    record = dict(look(work))
    if printer.for_people:
        for key in [key for key in record if key.endswith("_s")]:
            record[key.removesuffix("_s")] = span(record.pop(key))
        record["failed_rate"] = share(record["failed_rate"])
    printer.record(record)


async def meant(back: Reading, queue: Sequence[str], match: Sequence[str]) -> list[str]:
    """The queues that are named or fit a pattern."""
    if not queue and not match:
        raise click.UsageError("name a queue, or say --match PATTERN")
    await known(back, queue)
    fitting = [str(row["queue"]) for row in await back.queues(match)] if match else []
    if match and not fitting:
        fail(f"no queue fits {' or '.join(match)}", NOT_FOUND)
    return list(dict.fromkeys([*queue, *fitting]))


@command("pause")
@NAMES
@MATCH
@click.option("--for", "for_s", callback=reads(duration), metavar="DURATION", help="Resume by itself after this long.")
def pause(queue: tuple[str, ...], match: tuple[str, ...], for_s: float | None) -> None:
    """Stop handing out the jobs of these queues, on every worker. Running ones finish; adding goes on.

    The --reason is shown to whoever wonders why nothing runs.
    """
    printer = Printer.current()

    async def work(back: Backend) -> list[str]:
        names = await meant(back, queue, match)
        for name in names:
            if not printer.chosen.dry_run:
                await back.pause(name, for_s)
        return names

    done = ask(work)
    until = "" if for_s is None else f" for {span(for_s)}"
    printer.note(f"{'would pause' if printer.chosen.dry_run else 'paused'} {', '.join(done)}{until}")


@command("resume")
@NAMES
@MATCH
def resume(queue: tuple[str, ...], match: tuple[str, ...]) -> None:
    """Hand out the jobs of these queues again."""
    printer = Printer.current()

    async def work(back: Backend) -> list[str]:
        names = await meant(back, queue, match)
        for name in names:
            if not printer.chosen.dry_run:
                await back.resume(name)
        return names

    done = ask(work)
    printer.note(f"{'would resume' if printer.chosen.dry_run else 'resumed'} {', '.join(done)}")
