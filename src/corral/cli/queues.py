"""`corral queues`: look at queues, pause, resume and drain them."""

import click

from corral.cli.cells import share, span
from corral.cli.failures import NOT_FOUND, fail
from corral.cli.figures import QUEUE_COLUMNS, figures
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import open_store, run
from corral.queue import Queue
from corral.storage.port import Storage

COMMANDS = {
    "list": ("corral.cli.queues:list_queues", "Every queue, with its counts."),
    "show": ("corral.cli.queues:show", "One queue: counts, limits, rates."),
    "pause": ("corral.cli.queues:pause", "Stop handing out a queue's jobs; running ones finish."),
    "resume": ("corral.cli.queues:resume", "Hand out jobs again."),
    "drain": ("corral.cli.queues:drain", "Delete what waits."),
}


@click.group("queues", cls=LazyGroup, lazy=COMMANDS)
def queues() -> None:
    """Look at queues, pause, resume and drain them."""


async def known_queues(storage: Storage, names: tuple[str, ...]) -> list[Queue]:
    """The queues of these names; each must be in the store, so that a slip of the finger creates none."""
    stored = {info.name for info in await storage.queues()}
    for name in names:
        if name not in stored:
            fail(f"queue {name!r} is not in the store; it has {', '.join(sorted(stored)) or 'none'}", NOT_FOUND)
    return [Queue(name, storage) for name in names]


@command("list")
def list_queues() -> None:
    """Every queue of the store, with its counts."""

    async def work() -> list[dict[str, object]]:
        async with open_store() as storage:
            return [one.row() for one in await figures(storage)]

    Printer.current().rows(QUEUE_COLUMNS, run(work()))


@command("show")
@click.argument("queue")
def show(queue: str) -> None:
    """One queue: counts, limits, and the figures of the last 15 minutes."""

    async def work() -> dict[str, object]:
        async with open_store() as storage:
            [live] = await known_queues(storage, (queue,))
            info = await live.info()
            [numbers] = await figures(storage, queue=queue)
            limit = info.rate_limit
            return {
                **numbers.row(),
                "rate_limit": None if limit is None else f"{limit.count} / {limit.per:g} s",
                "concurrency": info.concurrency,
                "name_concurrency": dict(info.name_concurrency),
                "keep_completed": _keep(info.keep_completed),
                "keep_failed": _keep(info.keep_failed),
            }

    printer = Printer.current()
    record = run(work())
    if printer.for_people:
        for key in ("oldest_s", "window_s", "mean_wait_s", "mean_run_s"):
            record[key.removesuffix("_s")] = span(record.pop(key))
        record["failed_rate"] = share(record["failed_rate"])
    printer.record(record)


def _keep(keep: object) -> dict[str, object] | None:
    return None if keep is None else {"age_s": getattr(keep, "age", None), "count": getattr(keep, "count", None)}


@command("pause")
@click.argument("queue", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Shown to whoever wonders why nothing runs.")
def pause(queue: tuple[str, ...], reason: str) -> None:
    """Stop handing out the jobs of these queues, on every worker. Running ones finish; adding goes on."""

    async def work() -> None:
        async with open_store() as storage:
            for live in await known_queues(storage, queue):
                await live.pause(reason)

    run(work())
    Printer.current().note(f"paused {', '.join(queue)}")


@command("resume")
@click.argument("queue", nargs=-1, required=True)
def resume(queue: tuple[str, ...]) -> None:
    """Hand out the jobs of these queues again."""

    async def work() -> None:
        async with open_store() as storage:
            for live in await known_queues(storage, queue):
                await live.resume()

    run(work())
    Printer.current().note(f"resumed {', '.join(queue)}")


@command("drain")
@click.argument("queue")
@click.option("--delayed", is_flag=True, help="Also what is due later.")
def drain(queue: str, delayed: bool) -> None:
    """Delete what waits in a queue. Running jobs go on. It cannot be undone, so it asks."""
    printer = Printer.current()

    async def work() -> int:
        async with open_store() as storage:
            [live] = await known_queues(storage, (queue,))
            counts = await live.counts()
            waiting = counts.waiting + (counts.delayed if delayed else 0)
            printer.confirm(f"Delete {waiting:,} jobs that wait in {queue}?")
            return len(await live.drain(delayed=delayed))

    printer.record({"queue": queue, "removed": run(work())})
