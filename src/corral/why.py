"""Why is it not running? A pure function over what the store tells, with a remedy for each reason and an estimate."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from corral.job import Job, JobId, JobState
from corral.options import RateLimit
from corral.plurals import plural
from corral.storage.insight import GroupInfo, Place
from corral.storage.port import Children, QueueCounts, QueueInfo, WorkerInfo
from corral.timing import Millis, to_datetime

#: Children that are named; the others are counted.
NAMED = 5


class Cause(StrEnum):
    """What may stand in a job's way. The words are stable: programs may decide by them."""

    ENDED = "ended"
    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    PROBING = "probing"
    RATE_LIMITED = "rate-limited"
    QUEUE_FULL = "queue-full"  #: its concurrency over all workers is reached
    GROUP_PAUSED = "group-paused"
    GROUP_HELD = "group-held"
    GROUP_PROBING = "group-probing"
    GROUP_LIMITED = "group-limited"
    GROUP_FULL = "group-full"
    NAME_FULL = "name-full"
    NAME_LIMITED = "name-limited"
    DELAYED = "delayed"
    CHILDREN = "children"
    FAILED_CHILDREN = "failed-children"
    NO_WORKER = "no-worker"
    NO_HANDLER = "no-handler"
    WORKERS_BUSY = "workers-busy"
    BEHIND = "behind"
    EXPIRES = "expires"
    READY = "ready"


class Reason(Struct, frozen=True):
    """One thing in the way: a code for programs, a sentence and a remedy for people."""

    cause: Cause
    text: str
    remedy: str = ""
    until: Millis | None = None  #: when it goes away by itself, as far as is known
    certain: bool = True  #: False: it may be so


class Why(Struct, frozen=True, kw_only=True):
    """The answer: reasons, the most decisive first, and when the job may start."""

    queue: str
    job_id: JobId
    state: JobState
    reasons: tuple[Reason, ...]
    starts_at: Millis | None = None  #: an estimate; None: it cannot be known
    assumptions: tuple[str, ...] = ()  #: what the estimate takes for granted

    @property
    def text(self) -> str:
        """All of it for people, line by line."""
        lines = [f"{one.text}. {one.remedy}." if one.remedy else f"{one.text}." for one in self.reasons]
        if self.starts_at is not None and not self.state.finished and self.state is not JobState.ACTIVE:
            lines.append(
                f"It may start about {_at(self.starts_at)}, if {', and '.join(self.assumptions) or 'all is well'}."
            )
        return "\n".join(lines)


class Facts(Struct, frozen=True, kw_only=True):
    """What `why` judges by. None means: not known."""

    now: Millis
    info: QueueInfo
    counts: QueueCounts
    place: Place | None = None
    group: GroupInfo | None = None
    held_until: Millis | None = None  #: what a worker would be told now: the end of a window or hold
    name_active: int = 0  #: running jobs with the job's name
    children: Children | None = None
    workers: tuple[WorkerInfo, ...] | None = None  #: those that serve the queue
    ended: int = 0  #: attempts that ended in the last `over_ms`
    over_ms: Millis = 0
    expires_at: Millis | None = None  #: the end of its lifespan


def why(job: Job, facts: Facts) -> Why:
    """Tell why a job is not running, and when it may.

    Reasons come in this order: what has happened instead; what stops the queue, its group, its name; what the job
    itself waits for; who is missing to run it; who is before it; what will end it first.
    """
    if job.state.finished or job.state is JobState.ACTIVE:
        return Why(queue=job.queue, job_id=job.id, state=job.state, reasons=(_past(job, facts),))
    reasons = [
        *_of_job(job, facts),
        *_of_queue(facts),
        *_of_group(job, facts),
        *_of_name(job, facts),
        *_of_workers(job, facts),
    ]
    reasons.sort(key=lambda one: _ORDER[one.cause])
    reasons += _behind(job, facts)
    starts_at, assumptions = _estimate(facts, reasons)
    if not reasons:
        reasons.append(Reason(Cause.READY, "nothing is in its way: it starts with the next claim of a free worker"))
    reasons += _expiry(facts, starts_at)
    return Why(
        queue=job.queue,
        job_id=job.id,
        state=job.state,
        reasons=tuple(reasons),
        starts_at=starts_at,
        assumptions=tuple(assumptions),
    )


_ORDER = {cause: place for place, cause in enumerate(Cause)}


def _past(job: Job, facts: Facts) -> Reason:
    if job.state is JobState.ACTIVE:
        since = "" if job.started_at is None else f" for {_span(facts.now - job.started_at)}"
        return Reason(
            Cause.RUNNING,
            f"it is running on {job.worker or 'a worker'}{since}",
            "cancel it to stop it; if its worker died, it is taken back when its lease runs out",
        )
    when = "" if job.finished_at is None else f" {_at(job.finished_at)}"
    if job.state is JobState.COMPLETED:
        return Reason(Cause.ENDED, f"it completed{when}", "retry it to run it again")
    reason = job.failed_reason or "no reason is known"
    return Reason(Cause.ENDED, f"it failed for good{when}: {reason}", "mend what the reason names, then retry it")


# -- the queue, the group, the name ------------------------------------------------------------------------------------


def _of_queue(facts: Facts) -> Iterator[Reason]:
    info, now = facts.info, facts.now
    if info.paused:
        by = f": {info.pause_reason}" if info.pause_reason else "; nobody said why"
        yield Reason(Cause.PAUSED, f"the queue is paused{by}", "resume the queue")
    held = info.held_until
    if held is not None and held > now:
        because = f": {info.hold_reason}" if info.hold_reason else ""
        yield Reason(Cause.HELD, f"the queue is held until {_at(held)}{because}", "wait, or lift the hold", until=held)
    elif info.probing and facts.counts.active:
        yield Reason(
            Cause.PROBING,
            "the queue was held and is tried with one job at a time",
            "wait for that job's end, or lift the hold",
        )
    if facts.held_until is not None and facts.held_until > max(now, held or 0):
        limits = _rates(tuple(one for one in (info.rate_limit, *info.more_limits) if one is not None))
        yield Reason(
            Cause.RATE_LIMITED,
            f"the queue's rate limit{limits} is used up until {_at(facts.held_until)}",
            "wait, or raise the limit",
            until=facts.held_until,
        )
    if info.concurrency is not None and facts.counts.active >= info.concurrency:
        yield Reason(
            Cause.QUEUE_FULL,
            f"{plural(info.concurrency, 'job')} of the queue may run at once over all workers, "
            f"and {_do(facts.counts.active)}",
            "wait for one to end, or raise the queue's concurrency",
        )


def _of_group(job: Job, facts: Facts) -> Iterator[Reason]:
    group = facts.group
    if group is None or job.group is None:
        return
    called, now = f"its group {job.group!r}", facts.now
    limits = group.limits or facts.info.group_limits
    if group.paused:
        yield Reason(Cause.GROUP_PAUSED, f"{called} is paused", "resume the group")
    if group.held_until is not None and group.held_until > now:
        because = f": {group.hold_reason}" if group.hold_reason else ""
        yield Reason(
            Cause.GROUP_HELD,
            f"{called} is held until {_at(group.held_until)}{because}",
            "wait, or lift the group's hold",
            until=group.held_until,
        )
    elif group.probing and group.active:
        yield Reason(
            Cause.GROUP_PROBING,
            f"{called} was held and is tried with one job at a time",
            "wait for that job's end, or lift the group's hold",
        )
    if group.free_at is not None and group.free_at > now:
        allowed = "" if limits is None else _rates(limits.rate_limits)
        yield Reason(
            Cause.GROUP_LIMITED,
            f"{called} has used up its rate limit{allowed} until {_at(group.free_at)}",
            "wait, or raise the group's limit",
            until=group.free_at,
        )
    if limits is not None and limits.concurrency is not None and group.active >= limits.concurrency:
        yield Reason(
            Cause.GROUP_FULL,
            f"{plural(limits.concurrency, 'job')} of {called} may run at once, and {_do(group.active)}",
            "wait for one to end, or raise the group's concurrency",
        )


def _of_name(job: Job, facts: Facts) -> Iterator[Reason]:
    cap = facts.info.name_concurrency.get(job.name)
    if cap is not None and facts.name_active >= cap:
        yield Reason(
            Cause.NAME_FULL,
            f"{plural(cap, 'job')} named {job.name!r} may run at once, and {_do(facts.name_active)}",
            "wait for one to end, or raise the name's concurrency",
        )
    limits = facts.info.name_limits.get(job.name, ())
    if limits and job.state is JobState.WAITING:
        yield Reason(
            Cause.NAME_LIMITED,
            f"jobs named {job.name!r} have a rate limit{_rates(limits)}, which may be used up",
            "wait for the window's end, or raise the name's limit",
            certain=False,
        )


# -- the job itself ----------------------------------------------------------------------------------------------------


def _of_job(job: Job, facts: Facts) -> Iterator[Reason]:
    if job.state is JobState.DELAYED:
        due = job.run_at if job.run_at is not None else facts.now
        what = f"it is not due until {_at(due)}"
        if job.schedule is not None:
            what = f"it is the run of schedule {job.schedule!r} for {_at(due)}"
        elif job.attempts_made:
            what += (
                f": it backs off since attempt {job.attempts_made} failed ({job.failed_reason or 'no reason is known'})"
            )
        yield Reason(Cause.DELAYED, what, "promote it to run it now", until=due)
    if job.state is JobState.WAITING_CHILDREN:
        yield from _of_children(job, facts.children or Children())


def _of_children(job: Job, children: Children) -> Iterator[Reason]:
    if children.pending:
        named = ", ".join(f"{queue}/{child}" for queue, child in children.pending[:NAMED])
        more = f" and {len(children.pending) - NAMED} more" if len(children.pending) > NAMED else ""
        yield Reason(
            Cause.CHILDREN,
            f"it waits for {plural(len(children.pending), 'job')}: {named}{more}",
            "ask the same of those, or remove them if they are not needed",
        )
    elif not children.failed:
        yield Reason(
            Cause.CHILDREN,
            f"it waits for {plural(job.pending_children, 'job')} not known by name",
            "look again: they may just be ending",
            certain=False,
        )
    if children.failed:
        named = ", ".join(list(children.failed)[:NAMED])
        more = f" and {len(children.failed) - NAMED} more" if len(children.failed) > NAMED else ""
        yield Reason(
            Cause.FAILED_CHILDREN,
            f"{len(children.failed)} of the jobs it waited for failed: {named}{more}",
            "retry or remove those whose failure it does not ignore",
            certain=not children.pending,
        )


# -- who would run it --------------------------------------------------------------------------------------------------


def _of_workers(job: Job, facts: Facts) -> Iterator[Reason]:
    workers = facts.workers
    if workers is None:
        return
    if not workers:
        yield Reason(Cause.NO_WORKER, f"no worker serves queue {job.queue!r}", "start a worker for it")
        return
    able = [one for one in workers if _knows(one, job)]
    if not able:
        yield Reason(
            Cause.NO_HANDLER,
            f"none of the queue's workers ({len(workers)}) has a handler named {job.name!r}",
            "deploy a worker that has it; the ones there would fail the job",
        )
    elif job.state is JobState.WAITING and all(one.running >= one.slots for one in able):
        slots = sum(one.slots for one in able)
        yield Reason(
            Cause.WORKERS_BUSY,
            f"all {slots} slots of its workers are taken",
            "wait for a slot, or start more workers",
            certain=False,
        )


def _knows(worker: WorkerInfo, job: Job) -> bool:
    """Whether the worker has a handler for the job. One that does not say may have it."""
    known = worker.handlers
    return not known or f"{job.queue}/{job.name}" in known or f"{job.queue}/*" in known


# -- its turn ----------------------------------------------------------------------------------------------------------


def _behind(job: Job, facts: Facts) -> Iterator[Reason]:
    place = facts.place
    if place is None or job.state is not JobState.WAITING or not (place.ahead or place.groups > 1):
        return
    count = f"{'' if place.exact else 'at least '}{plural(place.ahead, 'job')}"
    text = f"{count} {'is' if place.ahead == 1 else 'are'} before it"
    if place.groups:
        text += f" in its group, and {place.groups} groups take turns" if place.groups > 1 else " in its group"
    yield Reason(Cause.BEHIND, text, "wait, start more workers, or give it a priority")


def _estimate(facts: Facts, reasons: list[Reason]) -> tuple[Millis | None, list[str]]:
    """When it may start, and what that takes for granted."""
    if any(one.cause in _UNKNOWABLE for one in reasons):
        return None, []
    begin = max([facts.now, *(one.until for one in reasons if one.until is not None)])
    assumptions: list[str] = []
    place = facts.place
    turns = 0 if place is None else place.ahead if not place.groups else place.ahead * place.groups + place.groups - 1
    must_wait = turns or any(one.cause in _NEEDS_AN_END for one in reasons)
    if not must_wait:
        return begin, ["a worker is free then"]
    pace = _pace(facts)
    if pace is None:
        return None, []
    assumptions.append(f"the pace of the last {_span(facts.over_ms)} goes on ({pace:.3g} a second)")
    if turns:
        assumptions.append("nothing more urgent is added")
    if place is not None and not place.exact:
        assumptions.append("no more jobs are before it than were counted")
    return begin + round((turns + 1) / pace * 1000), assumptions


def _pace(facts: Facts) -> float | None:
    """Jobs per second, as they went lately and as the queue's own limits allow."""
    if not facts.ended or not facts.over_ms:
        return None
    limits = [one for one in (facts.info.rate_limit, *facts.info.more_limits) if one is not None]
    return min([facts.ended * 1000 / facts.over_ms, *(one.count / one.per for one in limits)])


#: What goes away by a person's or another job's doing only.
_UNKNOWABLE = frozenset(
    {Cause.PAUSED, Cause.GROUP_PAUSED, Cause.CHILDREN, Cause.FAILED_CHILDREN, Cause.NO_WORKER, Cause.NO_HANDLER}
)
_NEEDS_AN_END = frozenset(
    {Cause.PROBING, Cause.GROUP_PROBING, Cause.QUEUE_FULL, Cause.GROUP_FULL, Cause.NAME_FULL, Cause.WORKERS_BUSY}
)


def _expiry(facts: Facts, starts_at: Millis | None) -> Iterator[Reason]:
    end = facts.expires_at
    if end is None:
        return
    late = starts_at is None or starts_at > end
    text = f"it expires {_at(end)} if it has not started by then"
    yield Reason(
        Cause.EXPIRES,
        text + (", which is before it may start" if late else ""),
        "add it with a longer lifespan, or remove what is in its way",
        until=end,
        certain=late,
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _at(at: Millis) -> str:
    return f"{to_datetime(at):%Y-%m-%d %H:%M:%S} UTC"


def _do(count: int) -> str:
    return plural(count, "does", "do")


def _span(ms: Millis) -> str:
    seconds = max(0, ms) / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _rates(limits: tuple[RateLimit, ...]) -> str:
    said = " and ".join(f"{one.count} each {one.per:g} s" for one in limits)
    return f" ({said})" if said else ""
