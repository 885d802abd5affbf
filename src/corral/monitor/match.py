"""Whether a job is what a search asks for. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from corral.job import PENDING, Job, JobId, JobState
from corral.monitor.grammar import DOCUMENTS, Query, Range, Term, Test, Text
from corral.monitor.preview import ran, waited
from corral.sensitive import HIDDEN, shown
from corral.storage.port import Children
from corral.timing import Millis

#: Waiting for longer than this is late.
LATE_MS: Millis = 60_000
#: What runs for longer than this, or so much longer than it may, does not end by itself.
STUCK_MS: Millis = 3_600_000
OVERTIME_MS: Millis = 60_000
_MISSING = object()

#: Queue and id.
Ref: TypeAlias = tuple[str, JobId]


class Known(Struct, frozen=True, kw_only=True):
    """What a search knows beside the jobs: the time, and what its terms made it ask for."""

    now: Millis
    silent: frozenset[str] = frozenset()  #: workers that were not seen lately
    flows: Mapping[str, frozenset[Ref]] = {}  #: by what stands in the search: their jobs


class More(Struct, kw_only=True):
    """What else is read of a job because a term asks for it. None: it was not read."""

    whole: Job | None = None  #: with payload and result
    children: Children | None = None
    logs: int | None = None  #: lines


def fits(job: Job, query: Query, known: Known) -> bool:
    """Whether a job fits as far as that can be told from a list."""
    return all(_holds(job, term, known) for term in query.terms if not is_deep(term))


def is_deep(term: Term) -> bool:
    """Whether more than a list has must be read of a job to judge by a term."""
    if term.field in DOCUMENTS:
        return True
    words = {test.value for test in term.tests if isinstance(test, Text)}
    return (term.field == "has" and bool(words & {"logs", "children"})) or (term.field == "is" and "stuck" in words)


def looks_inside(query: Query) -> tuple[Term, ...]:
    """The terms for which payload or result must be read."""
    return tuple(term for term in query.terms if term.field in DOCUMENTS)


def fits_deeply(
    job: Job, more: More, terms: tuple[Term, ...], known: Known, *, reveal: bool, sensitive: Sequence[str] = ()
) -> bool:  # fmt: skip
    """Whether a job fits the terms that `is_deep` holds for."""
    inside = tuple(term for term in terms if term.field in DOCUMENTS)
    if inside and (more.whole is None or not fits_inside(more.whole, inside, reveal=reveal, sensitive=sensitive)):
        return False
    return all(_holds(job, term, known, more) for term in terms if term.field not in DOCUMENTS)


def fits_inside(job: Job, terms: tuple[Term, ...], *, reveal: bool, sensitive: Sequence[str] = ()) -> bool:
    """Whether a whole job fits the terms about what is in its payload and result.

    Without `reveal` what is hidden from the reader fits nothing, not even the opposite: the answer would tell of it.
    """
    hide = (*sensitive, *job.options.sensitive)
    documents = {field: _document(job, field, hide, reveal=reveal) for field in {term.field for term in terms}}
    for term in terms:
        found = _values(documents[term.field], term.path)
        if any(value == HIDDEN for value in found) and not reveal:
            return False
        if any(_value_fits(value, test) for value in found for test in term.tests) == term.negated:
            return False
    return True


def _document(job: Job, field: str, hide: Sequence[str], *, reveal: bool) -> object:
    text = job.data if field == "data" else job.result
    try:
        value = _MISSING if text is None else msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _MISSING
    return value if reveal or value is _MISSING else shown(value, hide)


def _values(document: object, path: tuple[str, ...]) -> list[object]:
    """What stands at a path; lists on the way are looked into. An item may also be named by its number."""
    found = [document]
    for key in path:
        below: list[object] = []
        for value in found:
            if isinstance(value, list):
                if key.isdecimal() and len(key) < 7:
                    below += value[int(key) : int(key) + 1]
                below += [item[key] for item in value if isinstance(item, dict) and key in item]
            elif isinstance(value, dict) and key in value:
                below.append(value[key])
            elif value == HIDDEN:
                below.append(value)
        found = below
    return [item for value in found for item in (value if isinstance(value, list) else [value])]


def _value_fits(value: object, test: Test) -> bool:
    if value is _MISSING or isinstance(value, dict):
        return False
    if isinstance(test, Range):
        return isinstance(value, int | float) and not isinstance(value, bool) and test.has(value)
    said = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _text_fits(said, test)


def _text_fits(value: str | None, test: Test) -> bool:
    if value is None or isinstance(test, Range):
        return False
    match test.how:
        case "part":
            return test.value.casefold() in value.casefold()
        case "starts":
            return value.startswith(test.value)
    return value == test.value


_NO_MORE = More()


def _holds(job: Job, term: Term, known: Known, more: More = _NO_MORE) -> bool:
    return any(_test(job, term.field, test, known, more) for test in term.tests) != term.negated


def _test(job: Job, field: str, test: Test, known: Known, more: More) -> bool:
    if isinstance(test, Range):
        return test.has(_NUMBERS[field](job, known.now))
    match field:
        case "":
            return _is_word(job, test)
        case "has":
            return _HAS[test.value](job, more)
        case "is":
            return _IS[test.value](job, known, more)
        case "tag":
            return any(_text_fits(tag, test) for tag in job.options.tags)
        case "flow":
            return (job.queue, job.id) in known.flows.get(test.value, ())
        case "parent":
            parent = job.parent
            both = () if parent is None else (parent.id, f"{parent.queue}/{parent.id}")
            return any(_text_fits(name, test) for name in both)
    return _text_fits(_TEXTS[field](job), test)


def _is_word(job: Job, test: Text) -> bool:
    """A bare word: the id, the start of the name, or a part of the name or of the reason."""
    word = test.value.casefold()
    return job.id == test.value or word in job.name.casefold() or word in (job.failed_reason or "").casefold()


def _percentage(job: Job) -> float | None:
    try:
        return float(job.progress or "")
    except ValueError:
        return None


_TEXTS: Mapping[str, Callable[[Job], str | None]] = {
    "id": lambda job: job.id,
    "queue": lambda job: job.queue,
    "name": lambda job: job.name,
    "state": lambda job: str(job.state),
    "group": lambda job: job.group,
    "fingerprint": lambda job: job.fingerprint,
    "error": lambda job: job.failed_reason,
    "worker": lambda job: job.worker,
    "schedule": lambda job: job.schedule,
    "trace": lambda job: job.options.trace_id,
}

_NUMBERS: Mapping[str, Callable[[Job, Millis], float | None]] = {
    "attempts": lambda job, now: job.attempts_made,
    "priority": lambda job, now: job.priority,
    "progress": lambda job, now: _percentage(job),
    "crashes": lambda job, now: job.crashes,
    "size": lambda job, now: None if job.sizes is None else job.sizes.data,
    "wait": waited,
    "duration": ran,
    "created": lambda job, now: job.created_at,
    "started": lambda job, now: job.started_at,
    "finished": lambda job, now: job.finished_at,
    "run_at": lambda job, now: job.run_at,
}


def _is_late(job: Job, known: Known, _: More) -> bool:
    wait = waited(job, known.now)
    return job.state in PENDING and wait is not None and wait > LATE_MS


def _is_stuck(job: Job, known: Known, more: More) -> bool:
    """Whether it does not get on by itself: it runs far too long, or waits for children that have all failed."""
    if job.state is JobState.ACTIVE:
        limit = job.options.timeout_ms
        return (ran(job, known.now) or 0) > (STUCK_MS if limit is None else limit + OVERTIME_MS)
    below = more.children
    if job.state is not JobState.WAITING_CHILDREN or below is None:
        return False
    return bool(below.failed) and not below.pending


def _has_children(job: Job, more: More) -> bool:
    return job.pending_children > 0 or (more.children is not None and bool(more.children.queues))


_HAS: Mapping[str, Callable[[Job, More], bool]] = {
    "children": _has_children,
    "dedup": lambda job, more: job.dedup_id is not None,
    "error": lambda job, more: job.failed_reason is not None,
    "group": lambda job, more: job.group is not None,
    "logs": lambda job, more: bool(more.logs),
    "parent": lambda job, more: job.parent is not None,
    "progress": lambda job, more: job.progress is not None,
    "result": lambda job, more: job.result is not None,
    "schedule": lambda job, more: job.schedule is not None,
    "tags": lambda job, more: bool(job.options.tags),
    "trace": lambda job, more: job.options.trace is not None,
    "worker": lambda job, more: job.worker is not None,
}

_IS: Mapping[str, Callable[[Job, Known, More], bool]] = {
    "finished": lambda job, known, more: job.state.finished,
    "late": _is_late,
    "pending": lambda job, known, more: job.state in PENDING,
    "recovered": lambda job, known, more: job.crashes > 0,
    "rerun": lambda job, known, more: job.options.rerun_of is not None,
    "retried": lambda job, known, more: job.attempts_made > 1,
    "stalled": lambda job, known, more: job.state is JobState.ACTIVE and job.worker in known.silent,
    "stuck": _is_stuck,
}
