"""Long operations: begun here, watched here, and safe to interrupt: what is done is done, and somebody can go on."""

import asyncio
from contextlib import ExitStack
from typing import cast

from corral.cli.backend.port import Backend, Row
from corral.cli.failures import CONFLICT, PARTLY, fail
from corral.cli.progress import Bar, bar
from corral.cli.render import Printer
from corral.cli.session import PAGE, ask, known
from corral.cli.text import visible

DONE = {
    "retry": "retried", "promote": "promoted", "cancel": "cancelled", "remove": "removed", "edit_priority": "changed",
    "drain": "removed", "clean": "removed", "obliterate": "removed",
    "search": "found",
}  # fmt: skip
SEARCH = "search"
ENDED = ("done", "aborted", "failed")
EVERY = 0.1  #: seconds between two looks at how far it is


def operate(
    printer: Printer, action: str, query: str, most: int, *, question: str = "", queue: str | None = None,
    reset_attempts: bool = True,
) -> None:  # fmt: skip
    """Do something with all jobs that a search finds. `question` is asked first, with `{count}` filled in."""

    async def work(back: Backend) -> None:
        if queue is not None:
            await known(back, (queue,))
        seen = await back.preview(action, query, most)
        count = f"{'' if seen['exact'] else 'at least '}{seen['count']:,}"
        if printer.chosen.dry_run:
            printer.record(seen)
            printer.note(f"{count} jobs would be {DONE[action]}")
            return
        if not seen["count"]:
            nothing = {"id": None, "action": action, "state": "done", "done": 0, "failed": 0, "skipped": 0}
            if not printer.for_people:
                printer.record(nothing)
            _summary(printer, nothing)
            return
        if question:
            printer.confirm(question.replace("{count}", count), word=queue or "")
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
            f"interrupted: {_so_far(now)}. To go on: corral operations wait {operation}; "
            f"to let it be: corral operations abort {operation}"
        )
        raise
    return now


def _so_far(now: Row) -> str:
    if now["action"] == SEARCH:
        return f"{now['done']:,} jobs are found so far: corral operations results {now['id']}"
    total = "" if now["total"] is None else f" of {now['total']:,}"
    return f"{now['done']:,}{total} jobs are done and stay so"


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
    if now["state"] == "failed":
        problem = str(now.get("problem") or "it failed")
        fail(f"operation {now['id']} failed: {problem}", CONFLICT if problem == "selection-changed" else PARTLY)
    if failed:
        errors = cast(list[Row], now.get("errors") or [])
        fail("; ".join(visible(f"{one['queue']}/{one['id']}: {one['code']}") for one in errors[:10]), PARTLY)
    if now["state"] == "aborted":
        fail(f"operation {now['id']} was aborted", PARTLY)
