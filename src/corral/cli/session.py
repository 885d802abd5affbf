"""What commands do with a back end again and again: open it and ask, find a job, check a queue's name."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import click

from corral.cli.backend.open import backend, reading
from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.failures import CONFLICT, NOT_FOUND, fail
from corral.cli.store import run

T = TypeVar("T")
PAGE = 500


def ask(work: Callable[[Backend], Awaitable[T]], *, create: bool = False, app: bool = False) -> T:
    """Open the back end, do this with it, and close it again."""

    async def opened() -> T:
        async with backend(create=create, app=app) as back:
            return await work(back)

    return run(opened())


def look(work: Callable[[Reading], Awaitable[T]]) -> T:
    """Open the back end to ask it something, and close it again."""

    async def opened() -> T:
        async with reading() as back:
            return await work(back)

    return run(opened())


async def known(back: Reading, names: Sequence[str]) -> None:
    """Fail (exit 4) for a queue that is not there, so that a slip of the finger creates none."""
    for name in names:
        if not await back.has(name):
            stored = await back.names("queue", "")
            fail(f"queue {name!r} is not in the store; it has {', '.join(stored) or 'none'}", NOT_FOUND)


async def find_job(back: Reading, job_id: str, queue: str | None) -> tuple[str, str]:
    """Queue and id of a job; `queue/id` is understood, and an id alone is looked for in every queue.

    Raises:
        Failure: no such job (exit 4), or several queues have one (exit 6).
    """
    if queue is not None:
        await known(back, (queue,))
    found = await back.jobs(f"id:{quoted(job_id)}", queue=queue, limit=20)
    rows = [row for row in found.rows if row["id"] == job_id]
    if not rows and queue is None and "/" in job_id:
        where, _, name = job_id.partition("/")
        if where in await back.names("queue", where):
            return await find_job(back, name, where)
    if not rows:
        where = f"queue {queue!r}" if queue else "any queue"
        fail(f"job {job_id!r} is not in {where} (any more: retention may have removed it)", NOT_FOUND)
    if len(rows) > 1:
        names = " or --queue ".join(sorted(str(row["queue"]) for row in rows))
        fail(f"job {job_id!r} is in several queues; say --queue {names}", CONFLICT)
    return str(rows[0]["queue"]), job_id


def quoted(text: str) -> str:
    """A text as a value of a search."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def search_text(
    query: str | None, *, states: Sequence[str] = (), name: str | None = None, since: str | None = None
) -> str:
    """A search from what the options say."""
    parts = [query] if query else []
    if states:
        parts.append(f"state:{','.join(states)}")
    if name:
        parts.append(f"name:{quoted(name)}")
    if since:
        parts.append(f"created:>={since}")
    return " ".join(parts)


async def search(
    back: Reading, query: str, queue: str | None, most: int, *, tell: Callable[[int | None], None] = lambda total: None
) -> AsyncIterator[Row]:
    """Everything a search finds, as far as `most`. `tell` hears how many there are."""
    left, cursor = most, None
    while left > 0:
        part = await back.jobs(query, queue=queue, limit=min(PAGE, left), cursor=cursor)
        tell(part.total)
        for row in part.rows[:left]:
            yield row
        left -= len(part.rows)
        cursor = part.cursor
        if cursor is None:
            return


def queue_option(text: str = "Only this queue.") -> Callable[[T], T]:
    """`--queue`, which the shell can complete."""
    return click.option(  # type: ignore[return-value]  # click's decorators keep what they decorate
        "--queue", metavar="NAME", help=text, shell_complete=complete("queue")
    )


def complete(
    kind: str,
) -> "Callable[[click.Context, click.Parameter, str], list[click.shell_completion.CompletionItem]]":
    """Completion of names that the store or API knows; nothing when it does not answer at once."""

    def names(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem]":
        from corral.cli.completing import known_names

        return known_names(ctx, kind, incomplete)

    return names
