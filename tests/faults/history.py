"""What a queue's stream of events says happened, against what the callers were answered.

Events are written in the same step as what they tell of, so the stream is what really happened. An answer that does not
fit it is a call that happened twice, or not at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.keys import Keys

JobId = str
#: Where a job is, as far as its events tell.
NOWHERE, PENDING, ACTIVE, ENDED = "nowhere", "pending", "active", "ended"

#: event -> (states it may come in, the state after it); `prev` decides about those that are not here.
_STEPS = {
    "added": ((NOWHERE,), PENDING),
    "active": ((PENDING,), ACTIVE),
    "completed": ((ACTIVE,), ENDED),
    "failed": ((PENDING, ACTIVE), ENDED),
    "removed": ((PENDING, ENDED), NOWHERE),
}
_PLACES = frozenset({"waiting", "delayed", "waiting-children"})
_BEFORE = {"active": ACTIVE, "failed": ENDED, "completed": ENDED}


@dataclass
class Answers:
    """What every caller was told."""

    added: Counter[JobId] = field(default_factory=Counter)  #: as fresh
    claimed: Counter[tuple[JobId, int]] = field(default_factory=Counter)  #: job and fence
    completed: Counter[JobId] = field(default_factory=Counter)
    failed: Counter[JobId] = field(default_factory=Counter)
    removed: Counter[JobId] = field(default_factory=Counter)
    retried: Counter[JobId] = field(default_factory=Counter)
    cancelled: Counter[JobId] = field(default_factory=Counter)
    recovered: Counter[JobId] = field(default_factory=Counter)
    lines: dict[str, JobId] = field(default_factory=dict)  #: line of a log -> its job
    kept_back: set[JobId] = field(default_factory=set)  #: may be added once, and nobody is told
    requested: int = 0  #: jobs in all calls of `add`
    wrong: list[str] = field(default_factory=list)  #: answers that are wrong by themselves


@dataclass
class Happened:
    """What the stream says."""

    counts: dict[str, Counter[JobId]] = field(default_factory=lambda: defaultdict(Counter))
    states: dict[JobId, str] = field(default_factory=lambda: defaultdict(lambda: NOWHERE))
    impossible: list[str] = field(default_factory=list)
    events: int = 0


def happened(keys: Keys, stream: str) -> Happened:
    """Walk through a stream from its first entry."""
    found = Happened()
    for one in keys.stream(stream):
        found.events += 1
        if job_id := one.get("jobId"):
            _step(found, job_id, one["event"], one.get("prev", ""))
    return found


def _step(found: Happened, job_id: JobId, event: str, prev: str) -> None:
    before = found.states[job_id]
    if event in _STEPS:
        allowed, after = _STEPS[event]
    elif event in _PLACES:
        allowed, after = (_BEFORE.get(prev, PENDING),), PENDING
    else:
        found.counts[event][job_id] += 1
        return
    if before not in allowed:
        found.impossible.append(f"{event} (from {prev or 'nothing'}) of {job_id}, which was {before}")
    word = "retried" if event in _PLACES and prev in ("failed", "completed") else event
    found.counts[word][job_id] += 1
    found.states[job_id] = after


def compare(answers: Answers, real: Happened) -> Iterator[str]:
    """Every complaint, as one sentence."""
    yield from answers.wrong
    yield from (f"impossible: {what}" for what in real.impossible)
    late = added_late(answers, real)
    yield from _differences("add", "added", answers.added + Counter(late), real)
    for word in ("completed", "removed", "retried", "cancelled"):
        yield from _differences(word, word, getattr(answers, word), real)
    for job_id, count in answers.failed.items():
        if real.counts["failed"][job_id] < count:
            yield f"lost: {count} failures of {job_id} were accepted, {real.counts['failed'][job_id]} happened"
    yield from _differences("recovery", "stalled", answers.recovered, real)
    starts: Counter[JobId] = Counter()
    for (job_id, fence), count in answers.claimed.items():
        starts[job_id] += count
        if count > max(1, answers.added[job_id]):
            yield f"twice: run {fence} of {job_id} was given to {count} workers"
    for job_id, count in starts.items():
        if count > real.counts["active"][job_id]:
            yield f"twice: {job_id} was claimed {count} times and started {real.counts['active'][job_id]} times"


def added_late(answers: Answers, real: Happened) -> list[JobId]:
    """What was kept back, and added when its time had come."""
    return [job_id for job_id in answers.kept_back if real.counts["added"][job_id] > answers.added[job_id]]


def _differences(what: str, event: str, told: Counter[JobId], real: Happened) -> Iterator[str]:
    for job_id in told.keys() | real.counts[event].keys():
        if told[job_id] != real.counts[event][job_id]:
            kind = "lost" if told[job_id] > real.counts[event][job_id] else "twice"
            yield f"{kind}: {what} of {job_id} was answered {told[job_id]} times and happened " + (
                f"{real.counts[event][job_id]} times"
            )


def places(real: Happened, ids: dict[JobId, str]) -> Iterator[str]:
    """Where jobs lie in the end, by their events and by the containers."""
    for job_id, state in real.states.items():
        lies = ids.get(job_id)
        where = NOWHERE if lies is None else {"completed": ENDED, "failed": ENDED, "active": ACTIVE}.get(lies, PENDING)
        if where != state:
            yield f"orphan: {job_id} lies in {lies}, and its events say {state}"
    yield from (f"orphan: {job_id} is there and was never added" for job_id in ids.keys() - real.states.keys())


def log_lines(keys: Keys, base: str, answers: Answers, ids: dict[JobId, str]) -> Iterator[str]:
    """Every line is there once, if its job still is."""
    wanted: defaultdict[JobId, Counter[str]] = defaultdict(Counter)
    for line, job_id in answers.lines.items():
        wanted[job_id][line] += 1
    for job_id, expected in wanted.items():
        if job_id in ids:
            found = Counter(keys.members(f"{base}{job_id}:logs"))
            if twice := {line for line, count in found.items() if count > 1}:
                yield f"twice: the log of {job_id} has {sorted(twice)} more than once"
            # A job that was removed and added again has lost its log, so the lines that are missing say nothing.
            if found - expected:
                yield f"twice: the log of {job_id} has {sorted(found - expected)}, which nobody was told of"
