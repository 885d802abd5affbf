"""Making the index of tags and traces (see `corral.monitor.index`), a queue after the other, as an operation."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from corral.admin.base import Ground
from corral.admin.ledger import Task
from corral.job import FINISHED, JobId
from corral.monitor.index import KIND, TOGETHER, Coverage, bucket_of, changes_of, coverage_change, parts_kind
from corral.storage.records import MAX_CHANGES, EntryChange
from corral.timing import Millis

#: Jobs read at once, and those of one step, which also ends after so many seconds: others think that a process is dead
#: of which nothing is heard for twenty.
PAGE, STEP, STEP_S = 500, 20_000, 5.0
#: The clocks of the store and of whoever makes the index may differ by this. Jobs that ended within it are left out of
#: the index: they are looked through.
SLACK_MS: Millis = 60_000


async def index_step(ground: Ground, task: Task, *, seconds: Callable[[], float] = time.monotonic) -> Task:
    """Index the next finished jobs of the queue that is under way; with its last ones the index takes effect.

    Doing a step twice writes the same records again: they are named by its number.
    """
    queue, now = task.queues[task.shown.done], ground.store_now()
    until = task.shown.created_at - SLACK_MS
    found: dict[tuple[str, str], dict[str, list[JobId]]] = {}
    cursor, looked, entries, began = task.cursor, 0, 0, seconds()
    while True:
        page = await ground.monitor.jobs(
            queue=queue, states=sorted(FINISHED), limit=PAGE, cursor=cursor, reveal=True, now=task.shown.created_at
        )
        for row in page.items:
            named = [("tag", tag) for tag in row.tags] + [("trace", row.trace_id)] * (row.trace_id is not None)
            for field, value in named if row.finished_at is not None and row.finished_at <= until else ():
                values = found.setdefault((field, bucket_of(field, str(value))), {})
                values.setdefault(str(value), []).append(row.id)
                entries += 1
        looked, cursor = looked + len(page.items), page.scan.cursor
        if cursor is None or looked >= STEP or seconds() - began >= STEP_S:
            break
    made, kind = task.shown.id.removeprefix("op_"), parts_kind(queue)
    changes = list(changes_of(made, task.page, found))
    for begin in range(0, len(changes), MAX_CHANGES):
        await ground.storage.write_entries(kind, changes[begin : begin + MAX_CHANGES], now=now)
    jobs, known = task.jobs + looked, task.entries + entries
    after = replace(task, cursor=cursor, page=task.page + 1, jobs=jobs, entries=known).seen(
        examined=task.shown.examined + looked
    )
    if cursor is not None:
        return after
    coverage = Coverage(made=made, at=until, jobs=jobs, entries=known)
    await ground.storage.write_entries(KIND, [coverage_change(queue, coverage)], now=now)
    await _drop_older(ground, kind, made, now)
    return replace(after, jobs=0, entries=0).seen(done=task.shown.done + 1)


async def _drop_older(ground: Ground, kind: str, made: str, now: Millis | None) -> None:
    """Delete what an earlier index has left."""
    while older := await ground.storage.entries(kind, before=made, limit=TOGETHER, newest_first=False, now=now):
        gone = [EntryChange(id=one.id, text=None) for one in older]
        await ground.storage.write_entries(kind, gone, now=now)
