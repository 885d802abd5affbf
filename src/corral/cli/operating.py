"""Long operations: begun here, watched here, and safe to interrupt: what is done is done, and somebody can go on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, nullcontext
from typing import cast

from corral.cli.backend.port import Backend, Row
from corral.cli.failures import CONFLICT, PARTLY, fail
from corral.cli.progress import Bar, bar
from corral.cli.render import Printer
from corral.cli.session import PAGE, ask, known
from corral.cli.text import visible
from corral.plurals import plural

DONE = {
    "retry": "retried", "promote": "promoted", "cancel": "cancelled", "remove": "removed", "edit_priority": "changed",
    "drain": "removed", "clean": "removed", "obliterate": "removed",
    "search": "found",
}  # fmt: skip
SEARCH = "search"
ENDED = ("done", "aborted", "failed")
_CONFLICTS = ("selection-changed", "queue-has-active-jobs")
FEW = 1_000  #: jobs that are deleted in one step of the store: more are an operation
EVERY = 0.1  #: seconds between two looks at how far it is


def operate(
    printer: Printer, action: str, query: str, most: int, *, question: str = "", queue: str | None = None,
    reset_attempts: bool = True,
) -> None:  # fmt: skip
    """Do something with all jobs that a search finds. `question` is asked first, with `{count} jobs` filled in."""

    async def work(back: Backend) -> None:
        if queue is not None:
            await known(back, (queue,))
        seen = await back.preview(action, query, most)
        jobs = f"{'' if seen['exact'] else 'at least '}{plural(_number(seen, 'count'), 'job')}"
        if printer.chosen.dry_run:
            printer.record(seen)
            printer.note(f"{jobs} would be {DONE[action]}")
            return
        if not seen["count"]:
            nothing = {"id": None, "action": action, "state": "done", "done": 0, "failed": 0, "skipped": 0}
            if not printer.for_people:
                printer.record(nothing)
            _summary(printer, nothing)
            return
        if question:
            printer.confirm(question.replace("{count} jobs", jobs), word=queue or "")
        async with back.driving():
            begun = await back.start(action, query, most, reset_attempts=reset_attempts)
            await follow(printer, back, begun)

    ask(work)


async def follow(printer: Printer, back: Backend, begun: Row) -> None:
    """Show how far an operation is until it has ended, then what came of it.

    Raises:
        Failure: it could not be done for some jobs (exit 1), or the jobs had changed (exit 6).
    """
    now = await awaited(printer, back, begun)
    if not printer.for_people:
        printer.record(now)
    _summary(printer, now)


async def emptied(printer: Printer, back: Backend, count: int, begin: Callable[[bool], Awaitable[Row]]) -> int:
    """Delete jobs of a queue, and say how many it were: few at once, many as an operation, with progress.

    Args:
        begin: is told whether it is to be done in the background.

    Raises:
        Failure: it was stopped, or failed.
    """
    background = count > FEW
    try:
        async with back.driving() if background else nullcontext():
            now = await awaited(printer, back, await begin(background))
    except asyncio.CancelledError:
        if not background:
            printer.note("interrupted: it is done, or nothing of it is")
        raise
    _complain(now)
    return _number(now, "done")


async def find(printer: Printer, back: Backend, query: str, most: int) -> list[Row]:
    """Look through everything as an operation, with progress; what it has found.

    Raises:
        Failure: it was aborted, or failed (exit 1).
    """
    async with back.driving():
        now = await awaited(printer, back, await back.search(query, most))
    _summary(printer, now)
    return await results(back, str(now["id"]))


async def results(back: Backend, operation: str) -> list[Row]:
    """What a search in the background has found so far."""
    rows: list[Row] = []
    cursor: str | None = None
    while True:
        part = await back.found(operation, limit=PAGE, cursor=cursor)
        rows += part.rows
        cursor = part.cursor
        if cursor is None:
            return rows


async def awaited(printer: Printer, back: Backend, begun: Row) -> Row:
    """Show how far an operation is until it has ended; as it is then."""
    now, operation = begun, str(begun["id"])
    try:
        with ExitStack() as stack:
            shown = bar(printer, stack)
            while now["state"] not in ENDED:
                if shown is not None:
                    _show(shown, now)
                await asyncio.sleep(EVERY)
                now = await back.operation(operation)
    except asyncio.CancelledError:
        printer.note(
            f"interrupted: at least {_so_far(now)}. To go on: corral operations wait {operation}; "
            f"to let it be: corral operations abort {operation}"
        )
        raise
    return now


def _so_far(now: Row) -> str:
    if now["action"] == SEARCH:
        return (
            f"{plural(_number(now, 'done'), 'job is', 'jobs are')} found so far: corral operations results {now['id']}"
        )
    done = _number(now, "done")
    jobs = plural(done, "job") if now["total"] is None else f"{done:,} of {plural(_number(now, 'total'), 'job')}"
    stays = "; the queue stays paused" if now["action"] == "obliterate" else ""
    return f"{jobs} {'is' if done == 1 else 'are'} {DONE.get(str(now['action']), 'done')}, and that stays{stays}"


def _show(shown: Bar, now: Row) -> None:
    # How many a search will find is not known, only how many it has to look at.
    done, total = ("examined", "candidates") if now["action"] == SEARCH else ("done", "total")
    if now[total]:
        shown.show(f"{now['action']} {now['id']}", min(_number(now, done), _number(now, total)), _number(now, total))


def _number(row: Row, key: str) -> int:
    value = row[key]
    return value if isinstance(value, int) else 0


def _summary(printer: Printer, now: Row) -> None:
    verb = DONE.get(str(now["action"]), "done")
    failed, skipped = _number(now, "failed"), _number(now, "skipped")
    more = [f"{failed:,} failed"] * bool(failed) + [f"{skipped:,} had changed and were left alone"] * bool(skipped)
    more += ["as many as it may: there may be more"] * bool(now.get("capped"))
    done = _number(now, "done")
    printer.note(", ".join([f"{verb} {done:,} job{'' if done == 1 else 's'}", *more]))
    _complain(now)


def _complain(now: Row) -> None:
    failed = _number(now, "failed")
    if now["state"] == "failed":
        problem = str(now.get("problem") or "it failed")
        fail(f"operation {now['id']} failed: {problem}", CONFLICT if problem in _CONFLICTS else PARTLY)
    if failed:
        errors = cast(list[Row], now.get("errors") or [])
        fail("; ".join(visible(f"{one['queue']}/{one['id']}: {one['code']}") for one in errors[:10]), PARTLY)
    if now["state"] == "aborted":
        fail(f"operation {now['id']} was aborted", PARTLY)
