"""The claim of the model: whose turn it is, who may start, who is passed over."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from corral.event import EventType
from corral.job import JobId, JobState, NewJob
from corral.options import GroupLimits, Keep, RateLimit, priority_rank
from corral.storage.port import Claim
from corral.timing import Millis

from .model_limits import NONE, Group, Held, Windows
from .record import Record

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED
ALL = Keep()
PLAIN = priority_rank(0)


class Claiming:
    """The jobs of a queue, what it lets start, and the events of the step at hand."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Record] = {}
        self.events: list[tuple[EventType, JobId | None]] = []
        self.ended: Counter[JobState] = Counter()
        self.paused = False
        self.rate_limit: RateLimit | None = None
        self.more_limits: tuple[RateLimit, ...] = ()
        self.concurrency: int | None = None
        self.name_concurrency: dict[str, int] = {}
        self.name_limits: dict[str, tuple[RateLimit, ...]] = {}
        self.group_limits: GroupLimits | None = None
        self.held = Held()
        self.window_at, self.window_used = 0, 0
        self.windows = Windows()
        self.of_names: defaultdict[str, Windows] = defaultdict(Windows)
        self.groups: defaultdict[str, Group] = defaultdict(Group)
        self.turn = self.plain_turn = 0
        #: Whether jobs may have been set aside for their name. When that is done, and with it which group has nothing
        #: left to serve, is the adapter's choice; then the turns are taken over from it.
        self.loose = False
        self._places = 0

    def among(self, *states: JobState) -> list[Record]:
        return [job for job in self.jobs.values() if job.state in states]

    def waiting(self) -> list[Record]:
        """Jobs of groups behind the others, by group."""
        return sorted(
            self.among(WAITING), key=lambda job: (job.group is not None, (job.group or "").encode(), job.order)
        )

    def tell(self, kind: EventType, job: Record | None = None) -> None:
        self.events.append((kind, None if job is None else job.id))

    def _next(self) -> int:
        self._places += 1
        return self._places

    def _back(self, job: Record, run_at: Millis | None = None) -> None:
        """To the end of its rank, or for later."""
        job.state, job.run_at, job.token, job.place = DELAYED if run_at else WAITING, run_at, None, self._next()

    def _finish(self, job: Record, state: JobState, now: Millis, keep: Keep = ALL) -> None:
        job.state, job.run_at, job.token, job.finished_at, job.place = state, None, None, now, self._next()
        self.ended[state] += 1
        self.tell(EventType(state), job)
        ended = sorted(self.among(state), key=lambda one: (one.finished_at or 0, one.place))
        for one in [job] if keep.count == 0 else ended[: -keep.count] if keep.count else []:
            del self.jobs[one.id]

    # -- what may start ----------------------------------------------------------------------------------------------

    def window(self, now: Millis) -> tuple[int, Millis | None]:
        """How many the limits of the queue still let start, and when they let more."""
        room, ends = self.windows.room(self.more_limits, now), [self.windows.full_until(self.more_limits, now)]
        if self.rate_limit is not None:
            end = self.window_at + self.rate_limit.per_ms
            left = self.rate_limit.count - (self.window_used if now < end else 0)
            room = min(room, left)
            ends.append(None if left else end)
        if (end_of_hold := self.held.end(now)) is not None:
            room = 0
            ends.append(end_of_hold)
        return room, max((end for end in ends if end is not None), default=None)

    def free(self) -> int:
        """How many may run beside those that do."""
        running = len(self.among(ACTIVE))
        caps = [1_000] if self.concurrency is None else [self.concurrency - running]
        return min([*caps, 1 - running] if self.held.probing else caps)

    def running_of(self, group: str) -> int:
        return sum(job.group == group for job in self.among(ACTIVE))

    def waiting_of(self, group: str) -> list[Record]:
        return sorted((job for job in self.among(WAITING) if job.group == group), key=lambda job: job.order)

    def turn_round(self, now: Millis) -> None:
        """At the end of a step: groups that may start something stand in the ring, the others do not."""
        for name in {*self.groups, *(job.group for job in self.among(WAITING) if job.group)}:
            group = self.groups[name]
            blocked = group.waits_for_somebody(self.group_limits, self.running_of(name))
            if blocked or group.blocked_until(self.group_limits, now) is not None or not self.waiting_of(name):
                group.turn = None
            elif group.turn is None:
                group.turn = self.turn + 1

    def times(self, now: Millis) -> tuple[set[Millis], set[Millis]]:
        """The moments of which a claim must tell the first, and those it may tell of beside."""
        must = {job.run_at for job in self.among(DELAYED) if job.run_at is not None}
        may = set(must)
        for name in {job.group for job in self.among(WAITING) if job.group}:
            group = self.groups[name]
            until = group.blocked_until(self.group_limits, now)
            if until is not None:
                may.add(until)
                if not self.loose and not group.waits_for_somebody(self.group_limits, self.running_of(name)):
                    must.add(until)
        # A store may look once more at the end of a name's window although the last of its jobs has just started.
        for name in self.name_limits:
            until = self.of_names[name].full_until(self.name_limits[name], now)
            if until is not None:
                may.add(until)
        return must, may

    def refuses(self, jobs: Iterable[NewJob]) -> bool:
        """Whether a group is full: the jobs of a call fill it one after the other."""
        known: set[JobId | None] = set(self.jobs)
        own = {name: group.limits for name, group in self.groups.items()}
        sizes = Counter(job.group for job in self.among(WAITING))
        for job in jobs:
            there = job.id in known
            known |= {job.id} - {None}
            if job.group is None or there:
                continue
            limits = own.get(job.group)
            most = (limits or self.group_limits or NONE).max_size
            if most is not None and sizes[job.group] >= most:
                return True
            if job.group_rates:
                own[job.group] = replace(limits or NONE, rate_limits=job.group_rates)
            sizes[job.group] += not job.delay_ms
        return False

    # -- a claim -----------------------------------------------------------------------------------------------------

    def claim(
        self, wish: Claim, now: Millis, dropped: Collection[JobId], served: Sequence[JobId] | None = None
    ) -> list[JobId]:
        """`dropped` are the expired jobs the adapter chose to drop; those on the way must be among them.

        `served` are the jobs it took; where turns are its own choice they are followed.
        """
        if self.paused:
            return []
        for job in sorted(self.among(DELAYED), key=lambda one: (one.run_at or 0, one.place)):
            if job.run_at is not None and job.run_at <= now:
                self._back(job)
        self.turn_round(now)
        running = Counter(job.name for job in self.among(ACTIVE))
        taken: list[Record] = []
        room = min(wish.count, self.free(), self.window(now)[0])
        while len(taken) < room:
            follow = served[len(taken)] if self.loose and served and len(taken) < len(served) else None
            best = self._pick(running, now, follow)
            if best is None:
                break
            if best.expired(now):
                self._expire(best, now)
                continue
            self._start(best, wish, now)
            running[best.name] += 1
            taken.append(best)
        for job in [job for job in self.waiting() if job.id in dropped and job.expired(now)]:
            self._expire(job, now)
        if taken and self.rate_limit and now >= self.window_at + self.rate_limit.per_ms:
            self.window_at, self.window_used = now, 0
        self.window_used += len(taken)
        self.windows.start(self.more_limits, len(taken), now)
        if taken and not self.among(WAITING):
            self.tell(EventType.DRAINED)
        self.turn_round(now)
        return [job.id for job in taken]

    def _expire(self, job: Record, now: Millis) -> None:
        self.tell(EventType.EXPIRED, job)
        job.reason = "expired"
        self._finish(job, FAILED, now)

    def _start(self, job: Record, wish: Claim, now: Millis) -> None:
        job.state, job.token, job.lease_until, job.cancelled = ACTIVE, wish.token, now + wish.lease_ms, False
        job.started, job.started_at, job.reranked = job.started + 1, now, False
        self.tell(EventType.ACTIVE, job)
        self.of_names[job.name].start(self.name_limits.get(job.name, ()), 1, now)
        if job.group is not None:
            group = self.groups[job.group]
            group.windows.start((group.limits or self.group_limits or NONE).rate_limits, 1, now)
            if group.turn is not None:
                self.turn, group.turn = group.turn, group.turn + 1
            blocked = group.waits_for_somebody(self.group_limits, self.running_of(job.group))
            if blocked or group.blocked_until(self.group_limits, now) is not None:
                group.turn = None

    def _pick(self, running: Counter[str], now: Millis, follow: JobId | None) -> Record | None:
        """The job whose turn it is."""
        if follow is not None and any(job.group for job in self.among(WAITING)):
            return self._follow(self.jobs[follow], running, now)

        def best(jobs: Iterable[Record]) -> Record | None:
            return next((job for job in jobs if self._has_room(job.name, running, now)), None)

        own = best(job for job in self.waiting() if job.group is None)
        heads = {name: best(self.waiting_of(name)) for name, group in self.groups.items() if group.turn is not None}
        ready = {name: job for name, job in heads.items() if job is not None}
        if own is not None and (own.rank < PLAIN or not ready):
            return own
        plain = own if own is not None and own.rank == PLAIN else None
        if not ready:
            return None
        name = min(ready, key=lambda one: (self.groups[one].turn or 0, one.encode()))
        turn = self.groups[name].turn or 0
        if plain is None or self.plain_turn > turn:
            return ready[name]
        if not plain.expired(now):
            self.turn, self.plain_turn = turn, turn + 1
        return plain

    def _follow(self, job: Record, running: Counter[str], now: Millis) -> Record | None:
        """The job the adapter took, unless it may not start, or one that cannot have been set aside goes first."""
        if job.state is not WAITING or not self._has_room(job.name, running, now) or job.expired(now):
            return None
        if job.group is not None and self.groups[job.group].turn is None:
            return None
        fixed = [one for one in self.waiting() if not {one.name} & {*self.name_concurrency, *self.name_limits}]
        for one in fixed:
            ready = one.group is None or self.groups[one.group].turn is not None
            same = one.group == job.group and one.order < job.order
            urgent = one.group is None and one.rank < PLAIN and job.group is not None
            behind = one.group is not None and job.group is None and job.rank > PLAIN
            if ready and (same or urgent or behind):
                return one
        return job

    def _has_room(self, name: str, running: Counter[str], now: Millis) -> bool:
        limits = self.name_limits.get(name, ())
        return running[name] < self.name_concurrency.get(name, 1_000) and self.of_names[name].room(limits, now) > 0
