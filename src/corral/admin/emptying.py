"""Emptying a queue slice by slice: what an operation does that drains, cleans or obliterates."""

from msgspec.structs import replace

from corral.admin.base import Ground
from corral.admin.ledger import Task
from corral.admin.objects import OBLITERATE
from corral.errors import QueueBusyError
from corral.job import JobState
from corral.monitor.about import KIND as ABOUT
from corral.pauses import forget_pause
from corral.storage.port import QueueCounts, Selection
from corral.storage.records import EntryChange

#: Jobs removed in one step of the store: other callers get their turn in between.
SLICE = 1_000


def emptied(task: Task) -> bool:
    """Whether everything that the task is about has been deleted: first its jobs, of an obliteration then the queue."""
    return task.page >= (2 if task.shown.action == OBLITERATE else 1)


async def empty_step(ground: Ground, task: Task) -> Task:
    """Delete the next slice; when no job is left of a queue that is obliterated, what else there is of it.

    Doing a step twice deletes a slice more, never a job that the task is not about.

    Raises:
        QueueBusyError: a job was started meanwhile, and is not to be deleted while it runs.
    """
    [queue] = task.queues
    if task.page:
        [counts] = await ground.storage.counts([queue])
        if counts.active and not task.force:
            raise QueueBusyError(queue, counts.active)
        await raze(ground, queue, force=task.force)
        gone, through = kept_in(counts), True
    else:
        size = SLICE if task.most is None else max(0, min(SLICE, task.most - task.shown.done))
        gone = await _remove(ground, task, queue, size) if size else 0
        through = gone < SLICE
    ground.monitor.forget()  # whoever looks sees what is left
    return replace(task, page=task.page + through).seen(done=task.shown.done + gone)


async def _remove(ground: Ground, task: Task, queue: str, size: int) -> int:
    which = Selection(states=frozenset(map(JobState, task.states)), older_than_ms=_older(ground, task), limit=size)
    return len(await ground.storage.remove(queue, which, now=ground.store_now()))


def _older(ground: Ground, task: Task) -> int | None:
    """The age of what goes: as it was meant when somebody asked, however long the slices before took."""
    return None if task.older_ms is None else task.older_ms + max(0, ground.at() - task.shown.created_at)


async def raze(ground: Ground, queue: str, *, force: bool) -> None:
    """Delete a queue with all that is left in it and all that is noted of it."""
    await ground.storage.obliterate(queue, force=force)
    now = ground.store_now()
    await forget_pause(ground.storage, queue, now=now)
    await ground.storage.write_entries(ABOUT, [EntryChange(id=queue, text=None)], now=now)
    ground.forget(queue)


def kept_in(counts: QueueCounts) -> int:
    """How many jobs there are, in whatever state."""
    pending = counts.waiting + counts.active + counts.delayed + counts.waiting_children
    return pending + counts.completed + counts.failed
