"""add: new jobs of any queues, parents before children, all or none.

Rows, ties and counts of children are collected and written together: a flow of 10,001 jobs is three statements per job,
not six. What has to look at other jobs (a deduplication id, `after`, an id that is there already) writes first what
was collected, so that it finds the jobs of this very call.
"""

from collections import defaultdict
from collections.abc import Sequence

from corral.errors import JobNotFoundError, QueueFullError
from corral.event import EventType
from corral.job import After, NewJob, ParentRef
from corral.options import JobOptions, RateLimit, priority_rank
from corral.storage.port import Added
from corral.storage.sqlite.admission import admit
from corral.storage.sqlite.flows import FOLLOWS, find_pk, follow, parked_parent, reattach, release
from corral.storage.sqlite.groups import enter, take_in
from corral.storage.sqlite.rows import options_text, parent_text
from corral.storage.sqlite.unit import CHILDREN, COUNTED, DELAYED, WAITING, QueueRow, Unit, Value, job_key
from corral.timing import Millis

_INSERT = (
    "INSERT INTO corral_job (pk, queue, state, k1, k2, id, name, data, options, priority, created_at, ready_at, "
    "expires_at, schedule, scheduled_for, parent, parent_ref, edges, later, dedup, gid) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
#: What such a job does not have is not bound: 8 values less are a tenth of what its row costs.
_INSERT_PLAIN = (
    "INSERT INTO corral_job "
    "(pk, queue, state, k1, k2, name, data, options, priority, created_at, ready_at, expires_at) "
    "VALUES (?,?,0,?,?,?,?,?,?,?,?,?)"
)
_FIND = "SELECT pk FROM corral_job WHERE queue = ? AND id = ?"


def add(unit: Unit, jobs: Sequence[NewJob], now: Millis, *, bound: bool = True) -> list[Added]:
    """Insert the jobs that are not there yet. One INSERT per job in one prepared statement; one event row per queue.

    Without `bound` no limit of producers counts, and what `after` names may be gone: verdicts add so, and must stand.
    """
    for job in jobs:
        if (
            job.id is not None or job.dedup is not None or job.group is not None or job.parent is not None or job.after
            or job.children or job.schedule is not None or job.delay_ms or job.run_at is not None
        ):  # fmt: skip
            break
    else:  # usual
        return _add_plain(unit, jobs, now, bound=bound)
    adding = _Adding(unit, now, bound=bound)
    for job in jobs:
        adding.add(job)
    adding.flush()
    for parent in adding.passed_over:
        _let_go(unit, parent, now)
    if unit.adds:
        add_what_ends_bring(unit)
    return adding.answers


def _add_plain(unit: Unit, jobs: Sequence[NewJob], now: Millis, *, bound: bool) -> list[Added]:
    """`add` for jobs that may run at once and have nothing to do with any other, in a third of the time."""
    rows: list[tuple[Value, ...]] = []
    answers: list[Added] = []
    queue: QueueRow | None = None
    options: JobOptions | None = None
    text: str | None = None
    expires_at: Millis | None = None
    for job in jobs:
        if queue is None or queue.name != job.queue:
            queue = unit.queue(job.queue)
            unit.ready.add(queue.name)
        if queue.info.add_limit is not None and bound:
            _count_against(queue, queue.info.add_limit, now)
        if options is not job.options:
            options = job.options
            text, lifespan = options_text(options), options.lifespan_ms
            expires_at = None if lifespan is None else now + lifespan
        number, order = queue.next_id, queue.next_number
        queue.next_id, queue.next_number = number + 1, order + 1
        job_id = str(number)
        answers.append(Added(job_id, True))
        queue.events.append((0, now, job_id, job.name, None))  # code 0 is ADDED
        queue.count[WAITING] += 1
        place = -order if job.lifo else order
        rows.append((
            job_key(queue.pk, number), queue.pk, priority_rank(job.priority), place, job.name, job.data, text,
            job.priority, now, now, expires_at,
        ))  # fmt: skip
    unit.db.executemany(_INSERT_PLAIN, rows)
    return answers


def add_what_ends_bring(unit: Unit) -> None:
    """Add what verdicts and freed deduplication ids left to be added."""
    while unit.adds:
        todo, unit.adds = unit.adds, []
        for jobs, now in todo:
            add(unit, jobs, now, bound=False)


class _Adding:
    """One call."""

    def __init__(self, unit: Unit, now: Millis, *, bound: bool) -> None:
        self.answers: list[Added] = []
        self.passed_over: list[ParentRef] = []
        self._unit = unit
        self._now = now
        self._bound = bound
        self._queue: QueueRow | None = None
        self._known: set[tuple[int, str]] = set()  #: ids of the rows that are not in the table yet
        self._rows: list[tuple[Value, ...]] = []
        self._ties: list[tuple[Value, ...]] = []
        self._parents: dict[tuple[str, str], int] = {}
        self._children: defaultdict[int, int] = defaultdict(int)

    def add(self, job: NewJob) -> None:
        """One job."""
        queue = self._queue
        if queue is None or queue.name != job.queue:
            queue = self._queue = self._unit.queue(job.queue)
        if queue.info.add_limit is not None and self._bound and not job.schedule:
            _count_against(queue, queue.info.add_limit, self._now)
        if (job.id is not None and self._is_there(queue, job, job.id)) or (
            job.dedup is not None and self._is_kept_out(queue, job)
        ):
            return
        if job.group is not None:
            take_in(self._unit, queue, job, self._now, bound=self._bound)
        number, queue.next_id = queue.next_id, queue.next_id + 1
        job_id = job.id or str(number)
        self.answers.append(Added(job_id, True))
        if job.after:
            self._add_behind(queue, job, number, job_id)
            return
        parent = None if job.parent is None else self._parent(job.parent)
        self._rows.append(_row(self._unit, queue, job, number, job_id, parent, self._now))
        if job.id is not None:
            self._known.add((queue.pk, job.id))
        if job.parent is not None and parent is not None:
            policy = job.parent.policy.value
            self._ties.append((parent, job_key(queue.pk, number), queue.name, job_id, 0, policy, None))
            self._children[parent] += 1

    def flush(self) -> None:
        """Write what was collected."""
        db = self._unit.db
        if self._rows:
            db.executemany(_INSERT, self._rows)
            self._rows.clear()
            self._known.clear()
        if self._ties:
            db.executemany("INSERT INTO corral_child VALUES (?, ?, ?, ?, ?, ?, ?)", self._ties)
            counts = [(count, parent) for parent, count in self._children.items()]
            db.executemany("UPDATE corral_job SET pending = pending + ? WHERE pk = ?", counts)
            self._ties.clear()
            self._children.clear()

    def _is_there(self, queue: QueueRow, job: NewJob, job_id: str) -> bool:
        """Whether the id is taken. Then it is answered, and given its new parent."""
        if (queue.pk, job_id) not in self._known and self._unit.one(_FIND, (queue.pk, job_id)) is None:
            return False
        queue.tell(EventType.DUPLICATED, self._now, job_id, job.name)
        self.answers.append(Added(job_id, False))
        if job.parent is not None:
            self.flush()
            pk = find_pk(self._unit, queue, job_id)
            assert pk is not None  # found above, or just written
            reattach(self._unit, job.parent, parent_text(job.parent), pk, queue.name, job_id)
            self.passed_over.append(job.parent)
        return True

    def _is_kept_out(self, queue: QueueRow, job: NewJob) -> bool:
        self.flush()
        owner = admit(self._unit, queue, job, self._now)
        if owner is None:
            return False
        self.answers.append(Added(owner, False, True))
        if job.parent is not None:
            self.passed_over.append(job.parent)
        return True

    def _parent(self, parent: ParentRef) -> int | None:
        """The parent's key. One that is gone leaves the child an ordinary job."""
        pk = self._parents.get((parent.queue, parent.id))
        if pk is None:
            self.flush()  # it may be among them
            home = self._unit.look(parent.queue)
            pk = None if home is None else find_pk(self._unit, home, parent.id)
            if pk is not None:
                self._parents[parent.queue, parent.id] = pk
        return pk

    def _add_behind(self, queue: QueueRow, job: NewJob, number: int, job_id: str) -> None:
        """A job that comes after others, some of which may have ended."""
        self.flush()
        unit, now, pk = self._unit, self._now, job_key(queue.pk, number)
        before = [(found, one) for one in job.after if (found := self._before(one)) is not None]
        parent = None if job.parent is None else self._parent(job.parent)
        self._rows.append(_row(unit, queue, job, number, job_id, parent, now))
        if job.parent is not None and parent is not None:
            self._ties.append((parent, pk, queue.name, job_id, 0, job.parent.policy.value, None))
            self._children[parent] += 1
        self.flush()
        for found, one in before:
            follow(unit, pk, found, one.policy)
        parked_parent(unit, pk, now)
        if not job.children and not unit.number("SELECT pending FROM corral_job WHERE pk = ?", (pk,)):
            release(unit, pk, now)

    def _before(self, one: After) -> int | None:
        """The key of a job that is to end first. Raises: JobNotFoundError."""
        home = self._unit.look(one.queue)
        pk = None if home is None else find_pk(self._unit, home, one.id)
        if pk is None and self._bound:
            raise JobNotFoundError(one.queue, one.id)
        return pk


def _count_against(queue: QueueRow, limit: RateLimit, now: Millis) -> None:
    """Count an add against the producers' limit. Raises: QueueFullError, which undoes the whole call."""
    if abs(now - queue.add_at) >= limit.per_ms:
        queue.add_at, queue.add_used = now, 0
    queue.add_used += 1
    if queue.add_used > limit.count:
        raise QueueFullError(queue.name, limit.count, limit.per, max(0.001, (queue.add_at + limit.per_ms - now) / 1000))


def _let_go(unit: Unit, parent: ParentRef, now: Millis) -> None:
    """A parent whose children were all there already would wait for ever."""
    queue = unit.look(parent.queue)
    pk = None if queue is None else find_pk(unit, queue, parent.id)
    if pk is not None and not unit.number("SELECT pending FROM corral_job WHERE pk = ?", (pk,)):
        release(unit, pk, now)


def _row(
    unit: Unit, queue: QueueRow, job: NewJob, number: int, job_id: str, parent: int | None, now: Millis
) -> tuple[Value, ...]:
    due = job.run_at if job.run_at is not None else now + job.delay_ms
    queue.events.append((0, now, job_id, job.name, None))  # code 0 is ADDED; `tell` without its checks, as this is hot
    order = queue.take()
    later: Millis | None = None
    if job.children or job.after:
        state, k1, k2 = CHILDREN, now, order
        if due > now:  # counted from the release, unless it is a time of day
            later = job.delay_ms if job.run_at is None else -job.run_at
    elif due > now:
        state, k1, k2 = DELAYED, due, order
        queue.tell(EventType.DELAYED, now, job_id, job.name, str(due))
        unit.ready.add(queue.name)  # a worker that sleeps until a later job falls due must learn of this one
    else:
        state = WAITING if job.group is None else enter(unit, queue, job.group, now)
        k1, k2 = priority_rank(job.priority), -order if job.lifo else order
        unit.ready.add(queue.name)
    queue.count[COUNTED[state]] += 1
    lifespan, ready_at = job.options.lifespan_ms, max(due, now)
    return (
        job_key(queue.pk, number),
        queue.pk,
        state,
        k1,
        k2,
        job.id,
        job.name,
        job.data,
        options_text(job.options),
        job.priority,
        now,
        ready_at,
        None if lifespan is None else ready_at + lifespan,
        job.schedule,
        job.scheduled_for,
        parent,
        None if parent is None or job.parent is None else parent_text(job.parent),
        FOLLOWS if job.after else 0,
        later,
        None if job.dedup is None else job.dedup.id,
        job.group,
    )
