"""The machine that drives an adapter and the model together and compares everything after each step."""

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from msgspec.structs import replace

from corral.errors import QueueFullError
from corral.event import EventCursor, EventType
from corral.job import FINISHED, Job, JobId, JobState, NewJob
from corral.options import GroupLimits, JobOptions, Keep, QueueSettings, RateLimit
from corral.outcome import Completed, Crashed, Failed, Limited, Outcome, Released, Retried, Snoozed
from corral.storage.port import Claim, Claimed, JobPatch, Lease, Settlement, Token

from .helpers import HINTS, LEASE, T0, all_in, beat, new_token, these, wish
from .machine_groups import GROUP_LIMITS, GroupRules
from .model import Model
from .model_claim import ACTIVE, DELAYED, WAITING
from .record import Record

#: Hints are compared by the example tests; going idle and running dry are counted by the model too.
UNCOMPARED = HINTS - {EventType.IDLE, EventType.DRAINED}

NAMES = st.sampled_from(("x", "y"))
PRIORITIES = st.sampled_from((0, 0, 0, 1, 10, 2_000_000))
DELAYS = st.sampled_from((1, 50, 700, 5_000))
KEEPS = st.sampled_from((Keep(), Keep(), Keep(count=0)))


def a_job(
    number: int, name: str, priority: int, delay_ms: int, lifo: bool, lifespan_ms: int | None, group: str | None
) -> NewJob:
    return NewJob(
        queue="",  # the machine's own
        id=f"j{number}" if number % 4 else None,
        name=name,
        priority=priority,
        delay_ms=delay_ms,
        lifo=lifo,
        options=JobOptions(lifespan_ms=lifespan_ms),
        group=group,
        group_rates=(RateLimit(2, per=1),) if group == "c" and number == 40 else (),
    )


JOBS = st.builds(
    a_job,
    st.integers(0, 40),
    NAMES,
    PRIORITIES,
    st.one_of(st.just(0), DELAYS),
    st.booleans(),
    st.sampled_from((None, None, None, 900)),
    st.sampled_from((None, None, "a", "a", "b", "c")),
)
LIMITED = st.builds(Limited, st.sampled_from((1, 300, 2_000)), st.sampled_from((True, True, False)), st.just("429"))
AGAIN: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Retried, DELAYS, st.just("busy"), st.sampled_from((None, "trace"))),
    st.builds(Snoozed, DELAYS),
    st.just(Released()),
    LIMITED,
)
DONE = st.builds(Completed, st.sampled_from(("1", "null")), st.one_of(KEEPS, st.just(Keep(count=2))))
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    DONE,
    st.builds(Failed, st.just("no"), st.just("trace"), KEEPS),
    st.builds(Crashed, st.just("oom"), st.sampled_from((1, 2, 3)), KEEPS),
    AGAIN,
)
RATE_LIMITS = st.sampled_from((None, None, RateLimit(2, per=0.5), RateLimit(3, per=5)))
CONCURRENCIES = st.sampled_from((None, None, None, 1, 3))
NAME_CAPS: st.SearchStrategy[dict[str, int]] = st.sampled_from(({}, {}, {"x": 1}, {"x": 2, "y": 1}))
PICKS = st.integers(0, 1_000)


class Machine(GroupRules):
    """Each example works on a fresh queue of the same store."""

    def __init__(self) -> None:
        super().__init__()
        self.storage, self.do = self.bench.storage, self.bench.do
        self.queue = self.bench.fresh_queue()
        self.model = Model()
        self.now = T0
        self.cursor = ""
        self.history: list[Lease] = []
        self.states: dict[JobId, JobState] = {}

    # -- adding and running ------------------------------------------------------------------------------------------

    @initialize(
        jobs=st.lists(JOBS, min_size=4, max_size=12),
        rate_limit=RATE_LIMITS,
        concurrency=CONCURRENCIES,
        names=NAME_CAPS,
        groups=GROUP_LIMITS,
    )
    def stock_up(
        self, jobs: list[NewJob], rate_limit: RateLimit | None, concurrency: int | None, names: dict[str, int],
        groups: GroupLimits | None,
    ) -> None:  # fmt: skip
        self.add(jobs)
        self.claim(4)
        self.configure(rate_limit, concurrency, names)
        self.limit_groups(groups)

    @rule(jobs=st.lists(JOBS, min_size=1, max_size=4))
    def add(self, jobs: list[NewJob]) -> None:
        mine = [replace(job, queue=self.queue) for job in jobs]
        try:
            answers = self.do(self.storage.add(mine, now=self.now))
        except QueueFullError:
            answers = None
        assert (answers is None) is self.model.refuses(mine)
        if answers is None:
            self.bench.note({"group full": 1})
            self.check()
            return
        fresh = self.model.add(mine, [answer.id for answer in answers], self.now)
        assert [answer.fresh for answer in answers] == fresh
        assert all(job.id in (None, answer.id) for job, answer in zip(mine, answers, strict=True))
        self.check()

    @precondition(lambda self: self.model.among(WAITING, DELAYED))
    @rule(size=st.integers(1, 4))
    def claim(self, size: int) -> None:
        claim = wish(size, lease_ms=LEASE)
        held = self._held()
        claimed = self.do(self.storage.claim(self.queue, claim, now=self.now))
        self._claimed(claim, claimed, held)

    @precondition(lambda self: self.model.among(WAITING) and not self.model.paused)
    @rule()
    def claim_one(self) -> None:
        self.claim(1)

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, outcome=DONE)
    def complete(self, pick: int, outcome: Outcome) -> None:
        self.settle_and_claim(pick, outcome, [], None)

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, outcome=st.one_of(OUTCOMES, LIMITED, LIMITED))
    def settle(self, pick: int, outcome: Outcome) -> None:
        self.settle_and_claim(pick, outcome, [], None)

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, outcome=OUTCOMES, others=st.lists(AGAIN, max_size=2), then=st.sampled_from((None, 1, 2, 3)))
    def settle_and_claim(self, pick: int, outcome: Outcome, others: list[Outcome], then: int | None) -> None:
        active = self.model.among(ACTIVE)
        runs = [active[(pick + n) % len(active)] for n in range(min(len(active), 1 + len(others)))]
        verdicts = [_verdict(job, one) for job, one in zip(runs, [outcome, *others], strict=False)]
        claim = None if then is None else wish(then, lease_ms=LEASE)
        settled = self.do(self.storage.settle(self.queue, verdicts, then=claim, now=self.now))
        assert settled.refused == self.model.settle(verdicts, self.now) == {}
        self.model.follow([job.id for job in settled.claimed.jobs])
        if claim is None:
            assert settled.claimed == Claimed()
            self.check()
        else:
            self._claimed(claim, settled.claimed, held=None)

    @precondition(lambda self: self.history)
    @rule(pick=PICKS, outcome=OUTCOMES)
    def settle_an_old_run(self, pick: int, outcome: Outcome) -> None:
        """A repeated verdict, one whose lease is lost, or (rarely) one that counts."""
        running = {job.id for job in self.model.among(ACTIVE)}
        old = [lease for lease in self.history if not self.model.holds(lease)]
        rerun = [lease for lease in old if lease.job_id in running]
        among = (rerun if pick % 2 else []) or (old if pick % 8 else []) or self.history
        lease = among[pick % len(among)]
        verdict = Settlement(job_id=lease.job_id, token=lease.token, outcome=outcome)
        settled = self.do(self.storage.settle(self.queue, [verdict], now=self.now))
        expected = self.model.settle([verdict], self.now)
        assert settled.refused == expected
        self.bench.reached.update(expected.values())
        self.check()

    @precondition(lambda self: self.history)
    @rule(picks=st.lists(PICKS, max_size=3), mine=st.sampled_from((True, True, False)), late=st.booleans())
    def heartbeat(self, picks: list[int], mine: bool, late: bool) -> None:
        """Some old leases and, if `mine`, every living one; perhaps when they are in need of it."""
        self.now += LEASE * 2 // 3 * late
        living = [lease for lease in self.history if self.model.holds(lease)] if mine else []
        leases = list(dict.fromkeys([*living, *(self.history[pick % len(self.history)] for pick in picks)]))
        pulse = self.do(self.storage.heartbeat(beat(), leases, lease_ms=LEASE, now=self.now))
        lost, cancelled = self.model.heartbeat(leases, LEASE, self.now)
        assert (set(pulse.lost), {lease for lease, _ in pulse.cancelled}) == (lost, cancelled)
        self.bench.note({"lost": len(lost), "told to stop": len(cancelled)})
        self.check()

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(max_crashes=st.sampled_from((1, 2, 3)), late=st.sampled_from((0, 0, LEASE // 2, LEASE + 1)))
    def recover(self, max_crashes: int, late: int) -> None:
        self.now += late
        recovered = self.do(self.storage.recover(self.queue, max_crashes=max_crashes, now=self.now))
        requeued, quarantined = self.model.recover(max_crashes, self.now, recovered.quarantined)
        assert (set(recovered.requeued), set(recovered.quarantined)) == (requeued, quarantined)
        assert not recovered.more
        self.bench.note({"requeued": len(requeued), "quarantined": len(quarantined)})
        self.check()

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, cancelled=st.booleans())
    def live_on(self, pick: int, cancelled: bool) -> None:
        """A worker beats just in time, once more than a lease is long; perhaps somebody cancels one of its runs."""
        if cancelled:
            self.command("cancel", pick | 1, reset=False)
        self.heartbeat([], mine=True, late=True)
        self.recover(3, late=LEASE * 2 // 3)

    @rule(ms=st.sampled_from((1, 60, 800, 6_000)))
    def advance_time(self, ms: int) -> None:
        self.now += ms

    # -- what people ask for -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.jobs)
    @rule(verb=st.sampled_from(("retry", "promote", "cancel", "cancel", "remove")), pick=PICKS, reset=st.booleans())
    def command(self, verb: str, pick: int, reset: bool) -> None:
        """One verb on one job that mostly, not always, is in a state for it."""
        queue, model, now = self.queue, self.model, self.now
        match verb:
            case "retry":
                job = self._any(pick, *FINISHED)
                call = self.storage.retry(queue, these(job.id), reset_attempts=reset, now=now)
                expected = model.retry(job, reset)
            case "promote":
                job = self._any(pick, DELAYED)
                call, expected = self.storage.promote(queue, these(job.id), now=now), model.promote(job)
            case "cancel":
                job = self._any(pick, ACTIVE)
                call, expected = self.storage.cancel(queue, these(job.id), now=now), model.cancel([job], now)
            case _:
                job = self._any(pick, *FINISHED)
                call, expected = self.storage.remove(queue, these(job.id), now=now), model.remove([job])
        assert self.do(call) == expected
        self.check()

    @precondition(lambda self: len(self.model.jobs) > 12)
    @rule(state=st.sampled_from(JobState), age_ms=st.sampled_from((0, 100, 6_000)), verb=st.sampled_from("cr"))
    def clear(self, state: JobState, age_ms: int, verb: str) -> None:
        """Cancel or remove a whole state, or what has been in it for long."""
        which = all_in(state, older_than_ms=age_ms)
        old = [job for job in self.model.among(state) if self.now - (job.finished_at or job.created_at) >= age_ms]
        if verb == "c":
            touched, expected = self.storage.cancel(self.queue, which, now=self.now), self.model.cancel(old, self.now)
        else:
            touched, expected = self.storage.remove(self.queue, which, now=self.now), self.model.remove(old)
        assert set(self.do(touched)) == set(expected)
        self.check()

    @precondition(lambda self: self.model.jobs)
    @rule(
        pick=PICKS,
        what=st.sampled_from(("data", "progress", "priority", "delay")),
        priority=PRIORITIES,
        delay_ms=DELAYS,
        whose=st.sampled_from(("nobody", "holder", "stranger")),
    )
    def update(self, pick: int, what: str, priority: int, delay_ms: int, whose: str) -> None:
        job = self._any(pick)
        token = {"nobody": None, "holder": job.token, "stranger": new_token()}[whose]
        text = f'"{self.now}"'
        patch = {
            "data": JobPatch(job_id=job.id, token=token, data=text),
            "progress": JobPatch(job_id=job.id, token=token, progress=text),
            "priority": JobPatch(job_id=job.id, token=token, priority=priority),
            "delay": JobPatch(job_id=job.id, token=token, delay_ms=delay_ms),
        }[what]
        touched = self.do(self.storage.update(self.queue, [patch], now=self.now))
        assert touched == self.model.update(job, patch, self.now)
        self.bench.note({"update refused": not touched})
        self.check()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        assert self.change(QueueSettings(paused=paused)).paused is paused

    @rule(rate_limit=RATE_LIMITS, concurrency=CONCURRENCIES, names=NAME_CAPS)
    def configure(self, rate_limit: RateLimit | None, concurrency: int | None, names: dict[str, int]) -> None:
        info = self.change(QueueSettings(rate_limit=rate_limit, concurrency=concurrency, name_concurrency=names))
        assert (info.rate_limit, info.concurrency, info.name_concurrency) == (rate_limit, concurrency, names)

    # -- comparing ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Jobs, order, counts and events must be those of the model. Then a millisecond passes."""
        self.model.turn_round(self.now)
        self.do(self._compare())
        self.bench.steps += 1
        self.now += 1

    async def _compare(self) -> None:
        store, ids = self.storage, sorted(self.states.keys() | self.model.jobs.keys())
        (told, self.cursor), jobs, page, later, [counts], groups = await asyncio.gather(
            self._read_events(),
            store.get(self.queue, ids),
            store.page(self.queue, [WAITING], limit=1_000, newest_first=False),
            store.page(self.queue, [DELAYED], limit=1_000, newest_first=False),
            store.counts([self.queue]),
            store.groups(self.queue),
        )
        assert _by_job(told) == _by_job(self.model.events)
        self.model.events.clear()
        self._compare_jobs({id: job for id, job in zip(ids, jobs, strict=True) if job is not None})
        self.model.follow([job.id for job in [*page.items, *later.items]])
        assert [job.id for job in page.items] == [job.id for job in self.model.waiting()]
        self.model.undecided.clear()
        assert replace(counts, oldest_waiting_at=None, added_total=0) == self.model.counts(self.queue)
        assert counts.added_total >= len(ids)  # Redis also counts those that were kept out
        assert (counts.oldest_waiting_at is None) == (counts.waiting == 0)
        assert {group.id: replace(group, free_at=None) for group in groups.items} == self.model.infos(self.now)
        self._note(ids, told)

    def _compare_jobs(self, stored: dict[JobId, Job]) -> None:
        assert stored.keys() == self.model.jobs.keys()
        for job in self.model.jobs.values():
            assert _seen(stored[job.id]) == _expected(job)
            assert job.reason is None or stored[job.id].failed_reason == job.reason

    def _note(self, ids: list[JobId], told: list[tuple[EventType, JobId | None]]) -> None:
        """Which ways the jobs went in this step."""
        states = {job.id: job.state for job in self.model.jobs.values()}
        ways = [(self.states.get(id, "nothing"), states.get(id, "nothing")) for id in ids]
        self.bench.reached.update(f"{before} -> {after}" for before, after in ways if before != after)
        self.bench.reached.update(kind for kind, _ in told)
        self.states = states

    def _claimed(self, claim: Claim, claimed: Claimed, held: int | None) -> None:
        dropped = {id for kind, id in self.do(self._read_events())[0] if kind is EventType.EXPIRED and id}
        expected = self.model.claim(claim, self.now, dropped, [job.id for job in claimed.jobs])
        assert [job.id for job in claimed.jobs] == expected
        assert list(claimed.jobs) == self.do(self.storage.get(self.queue, expected))
        assert claimed.paused is self.model.paused
        must, may = (set(), set()) if self.model.paused else self.model.times(self.now)
        assert claimed.next_at is None or claimed.next_at in may
        assert not must or (claimed.next_at or self.now + 10**9) <= min(must)
        assert claimed.held_until in (None, self.model.window(self.now)[1])
        assert held in (None, claimed.held_until)
        self.bench.note({"held": held is not None, "paused claim": claimed.paused})
        self.history += [Lease(queue=self.queue, job_id=id, token=claim.token) for id in expected]
        self.check()

    def _held(self) -> int | None:
        """What `held_until` must be, when nothing but the rate limit stands in the way."""
        model = self.model
        return model.window(self.now)[1] if model.free() > 0 and not model.paused else None

    async def _read_events(self) -> tuple[list[tuple[EventType, JobId | None]], EventCursor]:
        """The events of this step, which may be looked at twice, and where they end."""
        events, end = await self.storage.events(self.queue, after=self.cursor)
        return [(event.type, event.job_id) for event in events if event.type not in UNCOMPARED], end

    def _any(self, pick: int, *states: JobState) -> Record:
        """A job, of these states if there is one and `pick` is not a multiple of eight."""
        among = (self.model.among(*states) if pick % 8 else []) or list(self.model.jobs.values())
        return among[pick % len(among)]


def _verdict(job: Record, outcome: Outcome) -> Settlement:
    return Settlement(job_id=job.id, token=job.token or Token(""), outcome=outcome)


def _by_job(told: list[tuple[EventType, JobId | None]]) -> list[tuple[EventType, JobId | None]]:
    return sorted(told, key=lambda entry: entry[1] or "")


def _seen(job: Job) -> tuple[object, ...]:
    due = None if job.state is ACTIVE else job.run_at  # of a running one: when it became ready
    return (
        job.state, job.name, job.data, job.priority, job.created_at, due, job.started_at, job.finished_at,
        job.attempts_started, job.attempts_made, job.crashes, job.progress, job.result, job.group,
        tuple((one.number, one.outcome, one.started_at, one.ended_at) for one in job.past),
    )  # fmt: skip


def _expected(job: Record) -> tuple[object, ...]:
    return (
        job.state, job.name, job.data, job.priority, job.created_at, job.run_at, job.started_at, job.finished_at,
        job.started, job.made, job.crashes, job.progress, job.result, job.group, job.past,
    )  # fmt: skip
