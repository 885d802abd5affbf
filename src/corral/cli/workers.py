"""`corral workers`: look at the workers, and tell them what to do."""

import asyncio
import functools
from collections.abc import Callable, Sequence

import click
from msgspec import Struct

from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.columns import WORKERS
from corral.cli.failures import CONFLICT, NOT_FOUND, TIMED_OUT, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.session import ask, complete, known, look, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import duration
from corral.plurals import plural

COMMANDS = {
    "list": ("corral.cli.workers:list_workers", "Every worker that was seen within the last minutes."),
    "show": ("corral.cli.workers:show", "One worker, and what it runs."),
    "quiet": ("corral.cli.workers:quiet", "Let workers take no new jobs; running ones go on."),
    "resume": ("corral.cli.workers:resume", "Let workers take jobs again."),
    "stop": ("corral.cli.workers:stop", "Let workers finish what they run and end."),
    "dump": ("corral.cli.workers:dump", "Ask workers where they are: what each of their tasks does."),
}
PATIENCE = 30.0
EVERY = 0.2
NAMES = click.argument("worker", nargs=-1, shell_complete=complete("worker"))
ALL = click.option("--all", "everyone", is_flag=True, help="All workers.")
HOST = click.option("--host", metavar="NAME", help="Only workers on this host.")
WAIT = click.option("--wait/--no-wait", "waits", default=True, help="Whether to wait for the workers' answer.")
TIMEOUT = click.option("--timeout", callback=reads(duration), default=f"{PATIENCE:g}s", metavar="DURATION",
                       show_default=True, help="How long to wait for it (exit 7).")  # fmt: skip


class Whom(Struct, frozen=True, kw_only=True):
    """Which workers are meant: these, or all that fit."""

    names: Sequence[str] = ()
    queue: str | None = None
    host: str | None = None
    everyone: bool = False


def chosen(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which workers get an order; the command is given them as one."""

    @functools.wraps(function)
    def called(
        worker: tuple[str, ...], queue: str | None, host: str | None, everyone: bool, **more: object
    ) -> None:  # fmt: skip
        function(Whom(names=worker, queue=queue, host=host, everyone=everyone), **more)

    options = (NAMES, queue_option("All workers that serve this queue."), HOST, ALL)
    for option in reversed(options):
        called = option(called)
    return called


@click.group("workers", cls=LazyGroup, lazy=COMMANDS)
def workers() -> None:
    """Look at the workers, and tell them what to do."""


@command("list")
@queue_option("Only those that serve this queue.")
@HOST
def list_workers(queue: str | None, host: str | None) -> None:
    """Every worker that was seen within the last minutes: where it runs, what it serves, how busy it is."""
    printer = Printer.current()

    async def work(back: Reading) -> Sequence[Row]:
        return [row for row in await back.workers(queue) if host in (None, row["host"])]

    found = look(work)
    printer.rows(WORKERS, found)
    if not found:
        printer.note("no worker is alive; `corral worker APP` starts one")


@command("show")
@click.argument("worker", shell_complete=complete("worker"))
def show(worker: str) -> None:
    """One worker by its name or id, and the jobs it runs."""
    printer = Printer.current()

    async def work(back: Reading) -> Row:
        [found] = await _meant(back, Whom(names=(worker,)))
        return found

    found = look(work)
    jobs = found["jobs"]
    assert isinstance(jobs, list)
    if not printer.for_people:
        printer.record(found)
        return
    printer.record({key: value for key, value in found.items() if key != "jobs"})
    for job in jobs:
        printer.line(f"    {job['queue']}/{job['id']}  {job['name']}")


async def _meant(back: Reading, whom: Whom) -> list[Row]:
    """The workers that are named, or all that fit."""
    names, queue, host = whom.names, whom.queue, whom.host
    if not names and queue is None and host is None and not whom.everyone:
        raise click.UsageError("name a worker, or say --queue, --host or --all")
    await known(back, (queue,) if queue else ())
    rows = [row for row in await back.workers(queue) if host in (None, row["host"])]
    if not names:
        alive = [row for row in rows if row["state"] != "stale"]
        return alive or fail("no worker is alive that fits", NOT_FOUND)
    found = []
    for name in names:
        same = [row for row in rows if name in (row["id"], row["name"])]
        if not same:
            there = ", ".join(str(row["name"]) for row in rows) or "none"
            fail(f"there is no worker {name!r}; there are: {there}", NOT_FOUND)
        if len(same) > 1:
            fail(f"worker {name!r} is there {plural(len(same), 'time')}; say its id: {same[0]['id']} …", CONFLICT)
        found += same
    return found


def _order(order: str, whom: Whom, *, waits: bool, timeout: float, done: str) -> None:
    """Give an order to workers and say what they answered."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        meant = await _meant(back, whom)
        called = ", ".join(str(row["name"]) for row in meant)
        if printer.chosen.dry_run:
            printer.note(f"would be told to {order}: {called}")
            return
        if order == "stop":
            printer.confirm(f"Stop {len(meant)} worker{'' if len(meant) == 1 else 's'} ({called})?")
        told = [(row, await back.order(str(row["id"]), order)) for row in meant]
        if not waits:
            printer.note(f"told to {order}: {called}")
            return
        silent = []
        try:
            async with asyncio.timeout(timeout):
                for row, number in told:
                    silent.append(row)
                    await _answered(printer, back, row, number, done)
                    silent.pop()
        except TimeoutError:
            late = ", ".join(str(row["name"]) for row in silent)
            fail(f"no answer within {timeout:g} s from {late}; it may still come", TIMED_OUT)
        except asyncio.CancelledError:
            printer.note(f"interrupted: told to {order} all the same: {called}")
            raise

    ask(work)


async def _answered(printer: Printer, back: Backend, row: Row, number: str, done: str) -> None:
    answer = await back.answer(str(row["id"]), number)
    while answer is None:
        await asyncio.sleep(EVERY)
        answer = await back.answer(str(row["id"]), number)
    if not printer.for_people:
        printer.record({"worker": row["name"], "id": row["id"], "answer": answer})
        return
    lines = answer.splitlines()
    if len(lines) < 2:
        printer.note(f"{row['name']}: {answer or done}")
        return
    printer.note(f"{row['name']}:")
    for line in lines:
        printer.line(line)


@command("quiet")
@chosen
@WAIT
@TIMEOUT
def quiet(whom: Whom, waits: bool, timeout: float) -> None:
    """Let workers take no new jobs; what they run goes on. The first step of a deployment."""
    _order("quiet", whom, waits=waits, timeout=timeout, done="takes no new jobs")


@command("resume")
@chosen
@WAIT
@TIMEOUT
def resume(whom: Whom, waits: bool, timeout: float) -> None:
    """Let workers that were told to be quiet take jobs again."""
    _order("resume", whom, waits=waits, timeout=timeout, done="takes jobs again")


@command("stop")
@chosen
@WAIT
@TIMEOUT
def stop(whom: Whom, waits: bool, timeout: float) -> None:
    """Let workers finish what they run and end, as SIGTERM does. Whoever supervises them may start them again."""
    _order("stop", whom, waits=waits, timeout=timeout, done="stops")


@command("dump")
@chosen
@TIMEOUT
def dump(whom: Whom, timeout: float) -> None:
    """Ask workers where they are: the stack of each thread and task. For one that seems to hang."""
    _order("dump", whom, waits=True, timeout=timeout, done="has nothing to tell")
