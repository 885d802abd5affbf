"""The machine for jobs that know of each other: all steps of the other one, and those that tie jobs together."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from corral.job import FINISHED, After, Job, JobState, NewJob, ParentRef
from corral.options import Dedup, GroupChange, GroupLimits, JobOptions, Keep, ParentPolicy, QueueSettings
from corral.outcome import Completed, Crashed, Failed, Failure, Outcome, Parked, Retried
from corral.storage.insight import FailureGroup, Page
from corral.timing import Millis

from .helpers import all_in, these
from .machine import DELAYS, JOBS, KEEPS, NAMES, PICKS, PRIORITIES, Machine
from .model_claim import ACTIVE
from .model_ties import PARKED, TiedModel
from .record import Record

#: So long that no slow server's own clock comes near it; the machine's leaps over it.
TTL = 600.0
IDS = ("u", "v")
MODES: tuple[dict[str, Any], ...] = (
    {}, {"ttl": TTL}, {"ttl": TTL, "extend": True}, {"replace": True}, {"ttl": TTL, "replace": True},
    {"ttl": TTL, "extend": True, "replace": True}, {"keep_last": True}, {"keep_last": True}, {"reschedule": True},
)  # fmt: skip
DEDUPS = st.builds(lambda id, mode: Dedup(id, **mode), st.sampled_from(IDS), st.sampled_from(MODES))
POLICIES = st.sampled_from(ParentPolicy)
THREE_POLICIES = st.tuples(POLICIES, POLICIES, POLICIES)
KINDS = st.sampled_from((None, Failure("net", "T", "m"), Failure("bug", "T", "m")))
WAITS = st.sampled_from((0, 0, 0, 700))


def a_tied_job(
    number: int, name: str, priority: int, delay_ms: Millis, dedup: Dedup | None, max_crashes: int | None
) -> NewJob:
    return NewJob(
        queue="", id=f"t{number}", name=name, priority=priority, delay_ms=delay_ms, dedup=dedup,
        options=JobOptions(max_crashes=max_crashes),
    )  # fmt: skip


CRASHES = st.sampled_from((None, 1, 3))
TIED_JOBS = st.builds(a_tied_job, st.integers(0, 30), NAMES, PRIORITIES, WAITS, st.none() | DEDUPS, CRASHES)
PLAIN_JOBS = st.builds(a_tied_job, st.integers(31, 60), NAMES, PRIORITIES, WAITS, st.none(), CRASHES)
KIDS = st.one_of(TIED_JOBS, PLAIN_JOBS)


class TiedMachine(Machine):
    """Each example works on a fresh queue of the same store."""

    model: TiedModel

    def __init__(self) -> None:
        super().__init__()
        self.model = TiedModel(lambda: self.now)
        self.made = 0

    def fresh_id(self, letter: str) -> str:
        """An id that no job of this example has had."""
        self.made += 1
        return f"{letter}{self.made}"

    def add_tied(self, jobs: Sequence[NewJob]) -> None:
        """Add to both."""
        mine = [replace(job, queue=self.queue) for job in jobs]
        answers = self.do(self.storage.add(mine, now=self.now))
        assert answers == self.model.add_tied(mine, [answer.id for answer in answers], self.now)
        self.bench.note({"kept out": sum(answer.deduplicated for answer in answers)})
        self.check()

    def named(self, picks: Sequence[int]) -> list[Record]:
        """Some jobs that others may wait for. Those that may expire in the midst of a claim are left out."""
        jobs = [job for job in self.model.jobs.values() if not job.id.isdigit() and job.lifespan_ms is None]
        return list({job.id: job for job in (jobs[pick % len(jobs)] for pick in picks)}.values()) if jobs else []

    # -- steps of the other machine: without groups, whose turns are its matter --------------------------------------

    def limit_groups(self, limits: GroupLimits | None) -> None:
        """Not a step here, nor are the next ones."""

    def change_group(self, group: str, change: GroupChange) -> None: ...

    def limit_the_queue(self, settings: QueueSettings) -> None: ...

    def take_turns(self, size: int, priority: int) -> None: ...

    def begin_carefully(self, group: str) -> None: ...

    @rule(jobs=st.lists(JOBS, min_size=1, max_size=4))
    def add(self, jobs: list[NewJob]) -> None:
        super().add([replace(job, group=None, group_rates=()) for job in jobs])

    # -- steps ---------------------------------------------------------------------------------------------------------

    @rule(jobs=st.lists(TIED_JOBS, min_size=1, max_size=3))
    def add_unique(self, jobs: list[NewJob]) -> None:
        self.add_tied(jobs)

    @rule(mode=st.sampled_from(MODES), delay_ms=st.sampled_from((5_000, 5_000, 0)), other_ms=DELAYS)
    def add_rivals(self, mode: dict[str, Any], delay_ms: Millis, other_ms: Millis) -> None:
        """Two that want the same id, the second one a moment later."""
        self.free_an_id("u")
        for due in (delay_ms, other_ms):
            dedup = Dedup("u", **mode)
            self.add_tied([NewJob(queue="", name="x", id=self.fresh_id("d"), delay_ms=due, dedup=dedup)])

    @rule(ends=st.booleans())
    def follow_a_running_one(self, ends: bool) -> None:
        """One that is kept for the time after a run; perhaps that time has come."""
        self.free_an_id("v")
        dedup = Dedup("v", keep_last=True)
        first, second = self.fresh_id("d"), self.fresh_id("d")
        self.add_tied([NewJob(queue="", name="x", id=first, priority=1, dedup=dedup)])
        self.claim(4)
        self.add_tied([NewJob(queue="", name="x", id=second, dedup=dedup)])
        running = [job.id for job in self.model.among(ACTIVE)]
        if ends and first in running:
            self.settle_and_claim(running.index(first), Completed("1"), [], None)

    @rule(limit=st.sampled_from((1, 2)), own=st.sampled_from((None, 1, 3)))
    def crash(self, limit: int, own: int | None) -> None:
        """A new urgent job brings its child process down, if it may start."""
        job = NewJob(queue="", name="x", id=self.fresh_id("c"), priority=1, options=JobOptions(max_crashes=own))
        self.add_tied([job])
        self.claim(2)
        running = [job.id for job in self.model.among(ACTIVE)]
        if job.id in running:
            self.settle_and_claim(running.index(job.id), Crashed("oom", limit), [], None)

    @rule(
        picks=st.lists(PICKS, min_size=1, max_size=3), policies=st.tuples(POLICIES, POLICIES, POLICIES), job=PLAIN_JOBS
    )
    def add_after(self, picks: list[int], policies: tuple[ParentPolicy, ...], job: NewJob) -> None:
        before = zip(self.named(picks), policies, strict=False)
        after = tuple(After(self.queue, one.id, policy) for one, policy in before)
        self.add_tied([replace(job, id=self.fresh_id("f"), after=after)])

    @precondition(lambda self: self.model.among(JobState.FAILED))
    @rule(pick=PICKS, policy=st.sampled_from((ParentPolicy.FAIL, ParentPolicy.CONTINUE, ParentPolicy.WAIT)))
    def add_after_a_failed_one(self, pick: int, policy: ParentPolicy) -> None:
        failed = [job for job in self.named(range(len(self.model.jobs))) if job.state is JobState.FAILED]
        after = tuple(After(self.queue, job.id, policy) for job in failed[pick % len(failed) :][:1]) if failed else ()
        self.add_tied([NewJob(queue="", name="x", id=self.fresh_id("f"), after=after)])

    @rule(jobs=st.lists(KIDS, max_size=2), picks=st.lists(PICKS, max_size=2), policy=POLICIES, parent=PLAIN_JOBS)
    def add_flow(self, jobs: list[NewJob], picks: list[int], policy: ParentPolicy, parent: NewJob) -> None:
        """A parent of new jobs and of some that are there."""
        top = replace(parent, id=self.fresh_id("p"))
        above = ParentRef(self.queue, top.id or "", policy)
        there = [NewJob(queue="", name="x", id=job.id, parent=above) for job in self.named(picks)]
        kids = [replace(job, id=self.fresh_id("k"), parent=above) for job in jobs]
        self.add_tied([replace(top, children=len(kids) + len(there)), *kids, *there])

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, jobs=st.lists(TIED_JOBS, min_size=1, max_size=2), fails=st.booleans(), keep=KEEPS)
    def end_bringing(self, pick: int, jobs: list[NewJob], fails: bool, keep: Keep) -> None:
        """A verdict that adds jobs, one of them after the job itself and after one that is not there."""
        run = self.model.among(ACTIVE)[pick % len(self.model.among(ACTIVE))]
        behind = tuple(After(self.queue, id, ParentPolicy.IGNORE) for id in (run.id, "ghost"))
        adds = [replace(job, queue=self.queue) for job in jobs]
        adds.append(NewJob(queue=self.queue, name="x", id=self.fresh_id("b"), after=behind))
        ends = Failed("no", None, keep, None, tuple(adds)) if fails else Completed("1", keep, tuple(adds))
        self.settle_and_claim(pick, ends, [], None)

    @precondition(lambda self: self.history)
    @rule(pick=PICKS, job=TIED_JOBS)
    def bring_too_late(self, pick: int, job: NewJob) -> None:
        self.settle_an_old_run(pick, Completed("1", adds=(replace(job, queue=self.queue),)))

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, kind=KINDS, final=st.booleans(), delay=DELAYS, then=st.sampled_from((None, 1)))
    def fail_of_a_kind(self, pick: int, kind: Failure | None, final: bool, delay: Millis, then: int | None) -> None:
        outcome: Outcome = Failed("no", failure=kind) if final else Retried(delay, "no", failure=kind)
        self.settle_and_claim(pick, outcome, [], then)

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS, jobs=st.lists(KIDS, min_size=1, max_size=2), policy=POLICIES, parks=st.booleans())
    def have_children(self, pick: int, jobs: list[NewJob], policy: ParentPolicy, parks: bool) -> None:
        """A running job gets children; perhaps it waits for them at once."""
        active = self.model.among(ACTIVE)
        run = active[pick % len(active)]
        above = ParentRef(self.queue, run.id, policy)
        self.add_tied([replace(job, id=self.fresh_id("k"), parent=above) for job in jobs])
        if parks:
            self.settle_and_claim(pick, Parked(), [], None)

    @precondition(lambda self: self.model.among(ACTIVE))
    @rule(pick=PICKS)
    def park(self, pick: int) -> None:
        self.settle_and_claim(pick, Parked(), [], None)

    @precondition(lambda self: self.model.among(*FINISHED))
    @rule(pick=PICKS, after_ms=st.sampled_from((0, 700)), every_ms=st.sampled_from((0, 50)), reset=st.booleans())
    def retry_later(self, pick: int, after_ms: Millis, every_ms: Millis, reset: bool) -> None:
        done = self.model.among(*FINISHED)
        some = [done[pick % len(done)], done[(pick + 1) % len(done)]][: len(done)]
        call = self.storage.retry(
            self.queue, these(*(job.id for job in some)), reset_attempts=reset, after_ms=after_ms, every_ms=every_ms,
            now=self.now,
        )  # fmt: skip
        touched = self.do(call)
        expected = [
            id for n, job in enumerate(some) for id in self.model.retry(job, reset, after_ms + n * every_ms, some)
        ]
        assert touched == expected
        self.check()

    @rule(dedup_id=st.sampled_from(IDS))
    def free_an_id(self, dedup_id: str) -> None:
        before = self.do(self.storage.deduplication(self.queue, dedup_id, remove=True, now=self.now))
        assert before == self.model.owner(dedup_id)
        self.model.keys.pop(dedup_id, None)
        self.bench.note({"freed": before is not None})
        self.check()

    @rule()
    def leap(self) -> None:
        """Past the time of every deduplication id."""
        self.now += round(TTL * 1000) + 1

    @precondition(lambda self: len(self.model.jobs) > 12)
    @rule(state=st.sampled_from(JobState), age_ms=st.sampled_from((0, 100, 6_000)), verb=st.sampled_from("cr"))
    def clear(self, state: JobState, age_ms: int, verb: str) -> None:
        """As ever; but which of several that wait for each other is cancelled first is the adapter's choice."""
        which = all_in(state, older_than_ms=age_ms)
        old = [job for job in self.model.among(state) if self.now - (job.finished_at or job.created_at) >= age_ms]
        cancels = verb == "c" and state is not PARKED
        call = self.storage.cancel if cancels else self.storage.remove
        answered = self.do(call(self.queue, which, now=self.now))
        old.sort(key=lambda job: answered.index(job.id) if job.id in answered else len(answered))
        expected = self.model.cancel(old, self.now) if cancels else self.model.remove(old)
        # A job that comes into the state because of one of these may go with them, or stay.
        while later := [job for job in self.model.among(state) if job.id in set(answered) - set(expected)]:
            expected += self.model.cancel(later, self.now) if cancels else self.model.remove(later)
        assert sorted(answered) == sorted(expected)
        self.check()

    # -- comparing -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.do(self._compare_ties())
        self.model.leave_open()
        super().check()
        self.model.let_go.clear()

    def _compare_jobs(self, stored: dict[str, Job]) -> None:
        super()._compare_jobs(stored)
        for job in self.model.jobs.values():
            here = stored[job.id]
            assert (here.dedup_id, here.fingerprint) == (job.dedup, job.fingerprint)
            assert here.pending_children in (job.pending, job.pending - job.failing)

    async def _compare_ties(self) -> None:
        store, queue = self.storage, self.queue
        asked = [(dedup_id, at) for dedup_id in IDS for at in self._moments(dedup_id)]
        tied = [job for job in self.model.jobs.values() if job.ties]
        owners, families, failures = await asyncio.gather(
            asyncio.gather(*(store.deduplication(queue, dedup_id, now=at) for dedup_id, at in asked)),
            asyncio.gather(*(store.children(queue, job.id) for job in tied)),
            store.failures(queue),
        )
        assert owners == [self.model.owner(dedup_id, at) for dedup_id, at in asked]
        for job, children in zip(tied, families, strict=True):
            ended = {
                state: {id: tie for id, tie in job.ties.items() if tie.state is state} for state in (None, *FINISHED)
            }
            assert {id for _, id in children.pending} == ended[None].keys()
            assert children.failed.keys() == ended[JobState.FAILED].keys()
            assert children.completed == {id: tie.value for id, tie in ended[JobState.COMPLETED].items()}
        assert failures == self._kinds()

    def _moments(self, dedup_id: str) -> tuple[Millis, ...]:
        """When to ask who owns an id: now, and about the end of its time."""
        key = self.model.keys.get(dedup_id)
        until = 0 if key is None else key.until or 0
        return (self.now, until - 1, until + 1) if until > self.now else (self.now,)

    def _kinds(self) -> Page[FailureGroup]:
        kinds = sorted(self.model.kinds.items(), key=lambda one: (one[1].last_at, one[0]), reverse=True)
        groups = [
            FailureGroup(
                fingerprint=fingerprint, type="T", message="m", attempts=kind.attempts, jobs=kind.jobs,
                first_at=kind.first_at, last_at=kind.last_at, last_job_id=kind.last[0], last_name=kind.last[1],
            )
            for fingerprint, kind in kinds
        ]  # fmt: skip
        return Page(tuple(groups), len(groups))


#: What the histories must have come across, beside what the other machine's do.
MUST_REACH = frozenset(
    {
        "nothing -> waiting-children", "waiting-children -> waiting", "waiting-children -> delayed",
        "waiting-children -> failed", "waiting-children -> nothing", "active -> waiting-children",
        "failed -> delayed", "completed -> delayed", "failed -> waiting-children", "nothing -> failed",
        "kept out", "freed", "deduplicated", "duplicated", "quarantined",
    }
)  # fmt: skip
