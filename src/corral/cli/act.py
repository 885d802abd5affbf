"""`corral jobs retry | promote | cancel | remove`: these ids, or what a search finds."""

import asyncio
from collections.abc import Sequence

import click
from msgspec import Struct
from msgspec.structs import replace

from corral.cli.backend.port import Backend
from corral.cli.columns import REACHED
from corral.cli.failures import CONFLICT, PARTLY, USAGE, Failure, fail
from corral.cli.jobs import QUERY, STATES
from corral.cli.operating import operate
from corral.cli.render import Printer
from corral.cli.session import ask, find_job, queue_option, quoted, search_text
from corral.cli.shared import command
from corral.errors import JobStateError
from corral.job import FINISHED, PENDING, JobState
from corral.plurals import plural

LIMIT = click.IntRange(1, 10_000_000)
IDS = click.argument("ids", nargs=-1, metavar="[ID]...")
NAME = click.option("--name", metavar="NAME", help="Without ids: only jobs for this handler.")
MOST = click.option("--max", "--limit", "most", type=LIMIT, default=1_000, show_default=True,
                    help="Without ids: at most so many.")  # fmt: skip
_DONE = {"retry": "retried", "promote": "promoted", "cancel": "cancelled", "remove": "removed"}


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be done, and to which jobs."""

    verb: str
    ids: Sequence[str] = ()
    queue: str | None = None
    query: str = ""  #: without ids
    most: int = 1_000
    possible: frozenset[JobState]
    reset_attempts: bool = True
    children: bool = False
    ask: str = ""  #: the question before it is done; "" asks nothing


def perform(wanted: Wanted) -> None:
    """Do it, print what it reached, and fail for the jobs whose state did not allow it."""
    printer = Printer.current()
    if not wanted.ids:
        operate(
            printer, wanted.verb, _within(wanted), wanted.most, question=wanted.ask, queue=wanted.queue,
            reset_attempts=wanted.reset_attempts,
        )  # fmt: skip
        return
    if wanted.ask:
        printer.confirm(wanted.ask)

    async def work(back: Backend) -> None:
        await _these(printer, back, wanted)

    ask(work)


def _within(wanted: Wanted) -> str:
    return f"queue:{quoted(wanted.queue)} {wanted.query}" if wanted.queue else wanted.query


async def _these(printer: Printer, back: Backend, wanted: Wanted) -> None:
    places = [await find_job(back, one, wanted.queue) for one in wanted.ids]
    if printer.chosen.dry_run:
        printer.rows(REACHED, [{"queue": queue, "id": job_id} for queue, job_id in places])
        printer.note(f"would be {_DONE[wanted.verb]}, where their state allows it")
        return
    done: list[tuple[str, str]] = []
    try:
        for queue in dict.fromkeys(queue for queue, _ in places):
            ids = [job_id for where, job_id in places if where == queue]
            done += [(queue, one) for one in await _reach(back, wanted, queue, ids)]
    except asyncio.CancelledError:
        printer.note(f"interrupted: at least {len(done):,} of {plural(len(places), 'job')} {_DONE[wanted.verb]}")
        raise
    printer.rows(REACHED, [{"queue": queue, "id": job_id} for queue, job_id in done])
    printer.note(f"{_DONE[wanted.verb]} {len(done):,} job{'' if len(done) == 1 else 's'}")
    if missed := [one for one in places if one not in done]:
        await _complain(back, missed, wanted, partly=bool(done))


async def _reach(back: Backend, wanted: Wanted, queue: str, ids: Sequence[str]) -> list[str]:
    """The jobs of one queue that it could be done to; a refusal of all of them is none of them."""
    try:
        return await back.act(wanted.verb, queue, ids, reset_attempts=wanted.reset_attempts, children=wanted.children)
    except JobStateError:
        return []
    except Failure as error:
        if error.exit_code != CONFLICT:
            raise
        return []


async def _complain(back: Backend, missed: Sequence[tuple[str, str]], wanted: Wanted, *, partly: bool) -> None:
    states = [f"{queue}/{job_id} is {(await back.job(queue, job_id))['state']}" for queue, job_id in missed]
    allowed = ", ".join(sorted(str(state) for state in wanted.possible))
    text = f"{'; '.join(states)}; only these states can be {_DONE[wanted.verb]}: {allowed}"
    fail(text, PARTLY if partly else CONFLICT)


def selection(
    ids: tuple[str, ...], queue: str | None, query: str | None, states: tuple[str, ...], name: str | None,
    possible: frozenset[JobState], usual: frozenset[JobState],
) -> str:  # fmt: skip
    """The search for the jobs meant when no ids are given; "" when ids are.

    Raises:
        UsageError: neither ids nor a queue or search, both ids and a search, or a state in which it cannot be done.
    """
    if ids:
        if states or name or query:
            raise click.UsageError("give ids, or --queue and -q with --state and --name, not both")
        return ""
    if queue is None and not query:
        raise click.UsageError("give ids of jobs, --queue for all jobs of a queue, or -q for those a search finds")
    chosen = frozenset(JobState(one) for one in states) or usual
    if wrong := chosen - possible:
        can = ", ".join(sorted(str(state) for state in possible))
        fail(f"jobs that are {' or '.join(sorted(map(str, wrong)))} cannot be meant here, only {can}", USAGE)
    return search_text(query, states=sorted(map(str, chosen)), name=name)


@command("retry")
@IDS
@queue_option("The jobs' queue; without ids: all of its failed jobs.")
@QUERY
@click.option("--state", type=STATES, multiple=True, help="Without ids: failed (usual) or completed.")
@NAME
@MOST
@click.option("--reset-attempts/--keep-attempts", default=True, help="Whether to count attempts anew (usual).")
def retry(
    ids: tuple[str, ...], queue: str | None, query: str | None, state: tuple[str, ...], name: str | None, most: int,
    reset_attempts: bool,
) -> None:  # fmt: skip
    """Run finished jobs again: these ids, a queue's failed ones, or those a search finds."""
    text = selection(ids, queue, query, state, name, FINISHED, frozenset({JobState.FAILED}))
    perform(
        Wanted(
            verb="retry", ids=ids, queue=queue, query=text, most=most, possible=FINISHED, reset_attempts=reset_attempts
        )
    )


@command("promote")
@IDS
@queue_option("The jobs' queue; without ids: all of its delayed jobs.")
@QUERY
@NAME
@MOST
def promote(ids: tuple[str, ...], queue: str | None, query: str | None, name: str | None, most: int) -> None:
    """Let delayed jobs run now: these ids, all of a queue, or those a search finds."""
    delayed = frozenset({JobState.DELAYED})
    text = selection(ids, queue, query, (), name, delayed, delayed)
    perform(Wanted(verb="promote", ids=ids, queue=queue, query=text, most=most, possible=delayed))


@command("cancel")
@IDS
@queue_option("The jobs' queue; without ids: all that wait in it.")
@QUERY
@click.option("--state", type=STATES, multiple=True, help="Without ids: waiting, delayed, waiting-children or active.")
@NAME
@MOST
def cancel(
    ids: tuple[str, ...], queue: str | None, query: str | None, state: tuple[str, ...], name: str | None, most: int
) -> None:
    """Stop jobs: those that wait fail as cancelled, those that run are told to stop. A whole queue is asked about.

    The --reason is kept with each job.
    """
    possible = PENDING | {JobState.ACTIVE}
    text = selection(ids, queue, query, state, name, possible, PENDING)
    question = "" if ids else "Cancel {count} jobs?"
    perform(Wanted(verb="cancel", ids=ids, queue=queue, query=text, most=most, possible=possible, ask=question))


@command("remove")
@IDS
@queue_option("The jobs' queue.")
@QUERY
@click.option("--state", type=STATES, multiple=True, help="Without ids: any state but active.")
@NAME
@MOST
@click.option("--children", is_flag=True, help="With ids: the jobs below them too.")
def remove(
    ids: tuple[str, ...], queue: str | None, query: str | None, state: tuple[str, ...], name: str | None, most: int,
    children: bool,
) -> None:  # fmt: skip
    """Delete jobs and all that belongs to them. It cannot be undone, so it asks. Active jobs are spared."""
    possible = frozenset(JobState) - {JobState.ACTIVE}
    if not ids and not state and not query:
        raise click.UsageError("say which jobs: ids, --state or -q")
    text = selection(ids, queue, query, state, name, possible, possible)
    question = f"Delete {plural(len(ids), 'job')}?" if ids else "Delete {count} jobs?"
    wanted = Wanted(verb="remove", ids=ids, queue=queue, query=text, most=most, possible=possible, ask=question)
    perform(replace(wanted, children=children))
