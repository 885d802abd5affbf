"""`corral jobs`: find jobs and act on them."""

from collections.abc import Sequence

import click

from corral.cli.failures import CONFLICT, NOT_FOUND, fail
from corral.cli.job_view import JOB_COLUMNS, details, job_row
from corral.cli.lazy import LazyGroup
from corral.cli.queues import known_queues
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import open_store, run
from corral.job import Job, JobId, JobState
from corral.queue import Queue
from corral.storage.port import Storage

COMMANDS = {
    "list": ("corral.cli.jobs:list_jobs", "Jobs by queue and state, newest first."),
    "show": ("corral.cli.jobs:show", "Everything about one job."),
    "logs": ("corral.cli.jobs:logs", "What a job's handler has logged."),
    "retry": ("corral.cli.act:retry", "Run finished jobs again."),
    "promote": ("corral.cli.act:promote", "Let delayed jobs run now."),
    "cancel": ("corral.cli.act:cancel", "Stop jobs, waiting or running."),
    "remove": ("corral.cli.act:remove", "Delete jobs."),
    "clean": ("corral.cli.clean:clean", "Delete finished jobs that are old enough."),
}
STATES = click.Choice([str(state) for state in JobState])


@click.group("jobs", cls=LazyGroup, lazy=COMMANDS)
def jobs() -> None:
    """Look at jobs, retry, promote, cancel, remove and clean them."""


async def find_job(storage: Storage, job_id: JobId, queue: str | None) -> Job:
    """The job with this id; without a queue every queue is looked in, because ids are the queues' own.

    Raises:
        Failure: no such job (exit 4), or several queues have one (exit 6).
    """
    found = [job for live in await _candidates(storage, queue) for job in await storage.get(live.name, [job_id]) if job]
    if not found:
        where = f"queue {queue!r}" if queue else "any queue"
        fail(f"job {job_id!r} is not in {where} (any more: retention may have removed it)", NOT_FOUND)
    if len(found) > 1:
        fail(
            f"job {job_id!r} is in several queues; say --queue {' or --queue '.join(job.queue for job in found)}",
            CONFLICT,
        )
    return found[0]


async def _candidates(storage: Storage, queue: str | None) -> Sequence[Queue]:
    return await known_queues(storage, (queue,) if queue else tuple(info.name for info in await storage.queues()))


@command("list")
@click.option("--queue", metavar="NAME", help="Only this queue.")
@click.option("--state", type=STATES, multiple=True, help="Only in this state; may be repeated.")
@click.option("--name", metavar="NAME", help="Only jobs for this handler.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="At most so many a queue."
)
def list_jobs(queue: str | None, state: tuple[str, ...], name: str | None, limit: int) -> None:
    """Jobs by queue, newest first; active ones, then waiting, delayed and finished ones."""
    printer = Printer.current()

    async def work() -> tuple[list[Job], int]:
        chosen = [JobState(one) for one in state] or list(JobState)
        shown: list[Job] = []
        total = 0
        async with open_store() as storage:
            for live in await _candidates(storage, queue):
                page = await live.page(*chosen, limit=limit, name=name)
                shown += page.items
                total += page.total
        return shown, total

    found, total = run(work())
    printer.rows(JOB_COLUMNS, [job_row(job) for job in found])
    if total > len(found):
        printer.note(f"{len(found):,} of {total:,}; --limit shows more")


@command("show")
@click.argument("job_id", metavar="ID")
@click.option("--queue", metavar="NAME", help="The job's queue; without it every queue is looked in.")
@click.option("--reveal", is_flag=True, help="Show fields that only their name makes sensitive (token, password …).")
def show(job_id: str, queue: str | None, reveal: bool) -> None:
    """Everything about one job: state, times, attempts, payload, result, the last error and its traceback."""

    async def work() -> Job:
        async with open_store() as storage:
            return await find_job(storage, job_id, queue)

    printer = Printer.current()
    job = run(work())
    printer.record(details(job, text=printer.for_people, reveal=reveal))
    if printer.for_people:
        for row in job.traces[-1].splitlines() if job.traces else ():
            printer.line(f"    {row}")


@command("logs")
@click.argument("job_id", metavar="ID")
@click.option("--queue", metavar="NAME", help="The job's queue; without it every queue is looked in.")
@click.option("--tail", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The last so many lines.")
def logs(job_id: str, queue: str | None, tail: int) -> None:
    """What a job's handler has logged, oldest first."""
    printer = Printer.current()

    async def work() -> Sequence[str]:
        async with open_store() as storage:
            job = await find_job(storage, job_id, queue)
            live = Queue(job.queue, storage)
            total = (await live.logs(job_id, limit=1)).total
            return (await live.logs(job_id, start=max(0, total - tail), limit=tail)).items

    lines = run(work())
    if printer.for_people:
        for line in lines:
            printer.line(line)
    else:
        printer.rows((), [{"line": line} for line in lines])
