"""Acting on one page of an operation's jobs: each job once, and only if it is still as it was when it was chosen."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from corral.admin.ledger import Choice, Task, stamp_of, unchanged
from corral.admin.objects import JobProblem
from corral.admin.problems import code_of, refusal
from corral.job import PENDING, Job, JobId, JobState
from corral.storage.port import JobPatch, Selection, Storage
from corral.timing import Millis

#: Problems that an operation lists.
ERRORS = 100


class Acted(Struct):
    """What became of a page's jobs."""

    done: int = 0
    skipped: int = 0
    sent: int = 0  #: jobs put back, so far in the whole operation
    problems: list[JobProblem] = []
    failed: int = 0

    def fail(self, queue: str, job_id: JobId, code: str) -> None:
        """Nothing could be done to this one."""
        self.failed += 1
        if len(self.problems) < ERRORS:
            self.problems.append(JobProblem(queue=queue, id=job_id, code=code))


async def act(
    storage: Storage, task: Task, page: Sequence[Choice], *, again: bool, at: Millis, now: Millis | None
) -> Acted:  # fmt: skip
    """Do to the jobs of a page what the task is about, in their order.

    Args:
        again: whoever worked on it before may have acted on this page, and died before they could say so.
    """
    acted = Acted(sent=task.sent)
    for queue, some in _by_queue(page[::-1] if task.reverse else page):
        jobs = await storage.get(queue, [one.id for one in some], lean=True)
        ready: list[JobId] = []
        for one, job in zip(some, jobs, strict=True):
            if one.stamp is None:
                acted.fail(queue, one.id, "job-not-found")
            elif unchanged(task.shown.action, one.stamp, job):
                ready.append(one.id)
            elif again:
                acted.done += 1
            else:  # somebody else has been there since, and what they wanted of it holds
                acted.skipped += 1
        if ready:
            await _act_on(storage, task, queue, ready, acted, at, now)
    return acted


async def _act_on(
    storage: Storage, task: Task, queue: str, ids: Sequence[JobId], acted: Acted, at: Millis, now: Millis | None
) -> None:
    reached = set(await _call(storage, task, queue, ids, acted.sent, at, now))
    acted.done += len(reached)
    acted.sent += len(reached)
    left = [one for one in ids if one not in reached]
    if left:
        for job_id, job in zip(left, await storage.get(queue, left, lean=True), strict=True):
            acted.fail(queue, job_id, code_of(refusal(task.shown.action, queue, job_id, job)))


async def _call(
    storage: Storage, task: Task, queue: str, ids: Sequence[JobId], sent: int, at: Millis, now: Millis | None
) -> Sequence[JobId]:
    which = Selection(ids=tuple(ids), limit=len(ids))
    match task.shown.action:
        case "retry":
            # Each job at its own time from the first one on, however long the pages before took.
            due = (at if task.acting_at is None else task.acting_at) + sent * task.every_ms
            return await storage.retry(
                queue, which, reset_attempts=task.reset_attempts, after_ms=max(0, due - at) if task.every_ms else 0,
                every_ms=task.every_ms, now=now,
            )  # fmt: skip
        case "promote":
            return await storage.promote(queue, which, now=now)
        case "cancel":
            return await storage.cancel(queue, which, reason=task.shown.reason, now=now)
        case "remove":
            return await storage.remove(queue, which, now=now)
    return await _prioritise(storage, queue, ids, task.value or 0, now)


async def _prioritise(
    storage: Storage, queue: str, ids: Sequence[JobId], priority: int, now: Millis | None
) -> Sequence[JobId]:
    jobs = await storage.get(queue, ids, lean=True)
    patches = [JobPatch(job_id=job.id, priority=priority) for job in jobs if job is not None and job.state in PENDING]
    return await storage.update(queue, patches, now=now) if patches else []


def _by_queue(page: Sequence[Choice]) -> Iterator[tuple[str, list[Choice]]]:
    """Neighbours of one queue together, keeping the order: a flow's jobs go back from below."""
    begin = 0
    while begin < len(page):
        end = begin
        while end < len(page) and page[end].queue == page[begin].queue:
            end += 1
        yield page[begin].queue, list(page[begin:end])
        begin = end


def chosen(job: Job | None, queue: str, job_id: JobId) -> Choice:
    """A job that was named, as it is now."""
    return Choice(queue, job_id, None if job is None else stamp_of(job))


def booked(task: Task, acted: Acted) -> Task:
    """The task when a page is through."""
    seen = task.shown
    shown = replace(
        seen, done=seen.done + acted.done, failed=seen.failed + acted.failed, skipped=seen.skipped + acted.skipped,
        errors=(*seen.errors, *acted.problems)[:ERRORS],
    )  # fmt: skip
    return replace(task, shown=shown, page=task.page + 1, sent=acted.sent)


#: In which states an action finds its jobs when the search does not say; and those in which it can be done at all.
USUAL = {
    "retry": (JobState.FAILED,),
    "promote": (JobState.DELAYED,),
    "cancel": (JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.ACTIVE),
    "remove": (
        JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.COMPLETED, JobState.FAILED,
    ),
    "edit_priority": (JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN),
}  # fmt: skip
POSSIBLE = {**USUAL, "retry": (JobState.FAILED, JobState.COMPLETED)}
