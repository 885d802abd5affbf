"""`corral jobs retry | promote | cancel | remove`: these ids, or all jobs of a queue in a state."""

from collections.abc import Awaitable, Callable

import click

from corral.cli.cells import Column
from corral.cli.failures import CONFLICT, PARTLY, USAGE, fail
from corral.cli.jobs import STATES, find_job
from corral.cli.queues import known_queues
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import open_store, run
from corral.job import FINISHED, PENDING, Job, JobId, JobState
from corral.storage.port import Selection, Storage

#: (queue, which) -> the ids it reached
Act = Callable[[str, Selection], Awaitable[list[JobId]]]
COLUMNS = (Column("queue", "QUEUE"), Column("id", "ID"))
LIMIT = click.IntRange(1, 1_000_000)
SLICE = 1_000  #: jobs a step: other callers get their turn in between


async def perform(
    printer: Printer, storage: Storage, act: Act, verb: str, ids: tuple[str, ...], queue: str | None,
    which: Selection | None, possible: frozenset[JobState],
) -> None:  # fmt: skip
    """Do it, print the ids it reached, and fail for those it did not."""
    done: list[tuple[str, JobId]] = []
    missed: list[Job] = []
    if which is not None:
        assert queue is not None, "select() has asked for it"
        await known_queues(storage, (queue,))
        done = [(queue, one) for one in await _in_slices(act, queue, which)]
    for job_id in ids:
        job = await find_job(storage, job_id, queue)
        reached = await act(job.queue, Selection(ids=(job_id,)))
        done += [(job.queue, one) for one in reached]
        missed += [] if reached else [job]
    printer.rows(COLUMNS, [{"queue": where, "id": one} for where, one in done])
    printer.note(f"{verb} {len(done):,} job{'' if len(done) == 1 else 's'}")
    if missed:
        wanted = ", ".join(sorted(str(state) for state in possible))
        tell = "; ".join(f"{job.queue}/{job.id} is {job.state}" for job in missed)
        fail(f"{tell}; only these states can be {verb}: {wanted}", PARTLY if done else CONFLICT)


async def _in_slices(act: Act, queue: str, which: Selection) -> list[JobId]:
    reached: list[JobId] = []
    while len(reached) < which.limit:
        size = min(SLICE, which.limit - len(reached))
        batch = await act(queue, Selection(states=which.states, name=which.name, limit=size))
        reached += batch
        if len(batch) < size:
            break
    return reached


def select(
    ids: tuple[str, ...], queue: str | None, states: tuple[str, ...], name: str | None, limit: int,
    possible: frozenset[JobState], usual: frozenset[JobState],
) -> Selection | None:  # fmt: skip
    """The jobs meant when no ids are given; None when ids are.

    Raises:
        UsageError: neither ids nor a queue, both ids and a state, or a state in which it cannot be done.
    """
    if ids:
        if states or name:
            raise click.UsageError("give ids, or --queue with --state and --name, not both")
        return None
    if queue is None:
        raise click.UsageError("give ids of jobs, or --queue for all jobs of a queue")
    chosen = frozenset(JobState(one) for one in states) or usual
    if wrong := chosen - possible:
        can = ", ".join(sorted(str(state) for state in possible))
        fail(f"jobs that are {' or '.join(sorted(map(str, wrong)))} cannot be meant here, only {can}", USAGE)
    return Selection(states=chosen, name=name, limit=limit)


@command("retry")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--queue", metavar="NAME", help="The jobs' queue; without ids: all of its failed jobs.")
@click.option("--state", type=STATES, multiple=True, help="Without ids: failed (usual) or completed.")
@click.option("--name", metavar="NAME", help="Without ids: only jobs for this handler.")
@click.option(
    "--limit", type=LIMIT, default=1_000, show_default=True, help="Without ids: at most so many, oldest first."
)
@click.option("--keep-attempts", is_flag=True, help="Do not start counting attempts again.")
def retry(
    ids: tuple[str, ...], queue: str | None, state: tuple[str, ...], name: str | None, limit: int, keep_attempts: bool
) -> None:
    """Run finished jobs again: these ids, or a queue's failed ones."""
    which = select(ids, queue, state, name, limit, FINISHED, frozenset({JobState.FAILED}))
    printer = Printer.current()

    async def work() -> None:
        async with open_store() as storage:

            async def act(where: str, jobs: Selection) -> list[JobId]:
                return await storage.retry(where, jobs, reset_attempts=not keep_attempts)

            await perform(printer, storage, act, "retried", ids, queue, which, FINISHED)

    run(work())


@command("promote")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--queue", metavar="NAME", help="The jobs' queue; without ids: all of its delayed jobs.")
@click.option("--name", metavar="NAME", help="Without ids: only jobs for this handler.")
@click.option("--limit", type=LIMIT, default=1_000, show_default=True, help="Without ids: at most so many.")
def promote(ids: tuple[str, ...], queue: str | None, name: str | None, limit: int) -> None:
    """Let delayed jobs run now: these ids, or all of a queue."""
    delayed = frozenset({JobState.DELAYED})
    which = select(ids, queue, (), name, limit, delayed, delayed)
    printer = Printer.current()

    async def work() -> None:
        async with open_store() as storage:
            await perform(printer, storage, storage.promote, "promoted", ids, queue, which, delayed)

    run(work())


@command("cancel")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--queue", metavar="NAME", help="The jobs' queue; without ids: all that wait in it.")
@click.option("--state", type=STATES, multiple=True, help="Without ids: waiting, delayed, waiting-children or active.")
@click.option("--name", metavar="NAME", help="Without ids: only jobs for this handler.")
@click.option("--limit", type=LIMIT, default=1_000, show_default=True, help="Without ids: at most so many.")
@click.option("--reason", default="", metavar="TEXT", help="Kept with each job.")
def cancel(
    ids: tuple[str, ...], queue: str | None, state: tuple[str, ...], name: str | None, limit: int, reason: str
) -> None:
    """Stop jobs: those that wait fail as cancelled, those that run are told to stop. A whole queue is asked about."""
    possible = PENDING | {JobState.ACTIVE}
    which = select(ids, queue, state, name, limit, possible, PENDING)
    printer = Printer.current()
    if which is not None:
        printer.confirm(f"Cancel up to {limit:,} jobs of {queue} that are {_words(which)}?")

    async def work() -> None:
        async with open_store() as storage:

            async def act(where: str, jobs: Selection) -> list[JobId]:
                return await storage.cancel(where, jobs, reason=reason)

            await perform(printer, storage, act, "cancelled", ids, queue, which, possible)

    run(work())


@command("remove")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--queue", metavar="NAME", help="The jobs' queue.")
@click.option("--state", type=STATES, multiple=True, help="Without ids: any state but active.")
@click.option("--name", metavar="NAME", help="Without ids: only jobs for this handler.")
@click.option("--limit", type=LIMIT, default=1_000, show_default=True, help="Without ids: at most so many.")
def remove(ids: tuple[str, ...], queue: str | None, state: tuple[str, ...], name: str | None, limit: int) -> None:
    """Delete jobs and all that belongs to them. It cannot be undone, so it asks. Active jobs are spared."""
    possible = frozenset(JobState) - {JobState.ACTIVE}
    if not ids and queue is not None and not state:
        raise click.UsageError("say which jobs: ids, or --state")
    which = select(ids, queue, state, name, limit, possible, frozenset())
    printer = Printer.current()
    what = (
        f"{len(ids):,} job{'' if len(ids) == 1 else 's'}"
        if which is None
        else f"up to {limit:,} jobs of {queue} that are {_words(which)}"
    )
    printer.confirm(f"Delete {what}?")

    async def work() -> None:
        async with open_store() as storage:
            await perform(printer, storage, storage.remove, "removed", ids, queue, which, possible)

    run(work())


def _words(which: Selection) -> str:
    return " or ".join(sorted(str(state) for state in which.states))
