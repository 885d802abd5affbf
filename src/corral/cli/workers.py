"""`corral workers`: the workers that are alive."""

import click

from corral.cli.cells import Column, ago, iso, plain, span
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import open_store, run
from corral.storage.port import WorkerInfo

COMMANDS = {"list": ("corral.cli.workers:list_workers", "Every worker that was seen within the last minute.")}
COLUMNS = (
    Column("name", "NAME"),
    Column("host", "HOST", rank=3),
    Column("pid", "PID", str, True, rank=1),
    Column("queues", "QUEUES", wrap=True),
    Column("running", "RUNNING", plain, True),
    Column("slots", "SLOTS", plain, True),
    Column("up_s", "UP", span, True),
    Column("seen_s", "SEEN", span, True),
    Column("version", "VERSION", rank=2),
)


@click.group("workers", cls=LazyGroup, lazy=COMMANDS)
def workers() -> None:
    """Look at the workers that are alive."""


@command("list")
def list_workers() -> None:
    """Every worker that was seen within the last minute: where it runs, what it serves, how busy it is."""

    async def work() -> list[WorkerInfo]:
        async with open_store() as storage:
            return await storage.workers()

    printer = Printer.current()
    found = run(work())
    printer.rows(COLUMNS, [_row(one) for one in found])
    if not found:
        printer.note("no worker is alive on this store; `corral worker APP` starts one")


def _row(worker: WorkerInfo) -> dict[str, object]:
    return {
        "id": worker.id,
        "name": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "queues": list(worker.queues),
        "running": worker.running,
        "slots": worker.slots,
        "started_at": iso(worker.started_at),
        "up_s": ago(worker.started_at),
        "seen_at": iso(worker.seen_at),
        "seen_s": ago(worker.seen_at),
        "version": worker.version,
    }
