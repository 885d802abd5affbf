"""Whether a job is what a search asks for. Pure."""

from collections.abc import Callable, Mapping

import msgspec

from corral.job import PENDING, Job
from corral.monitor.grammar import DOCUMENTS, Query, Range, Term, Test, Text
from corral.monitor.preview import ran, waited
from corral.sensitive import HIDDEN, shown
from corral.timing import Millis

#: Waiting for longer than this is late.
LATE_MS: Millis = 60_000
_MISSING = object()


def fits(job: Job, query: Query, now: Millis) -> bool:
    """Whether a job fits as far as that can be told without its payload and result."""
    return all(_holds(job, term, now) for term in query.terms if term.field not in DOCUMENTS)


def looks_inside(query: Query) -> tuple[Term, ...]:
    """The terms for which payload or result must be read."""
    return tuple(term for term in query.terms if term.field in DOCUMENTS)


def fits_inside(job: Job, terms: tuple[Term, ...], *, reveal: bool) -> bool:
    """Whether a whole job fits the terms about what is in its payload and result.

    Without `reveal` what is hidden from the reader fits nothing, not even the opposite: the answer would tell of it.
    """
    documents = {field: _document(job, field, reveal=reveal) for field in {term.field for term in terms}}
    for term in terms:
        found = _values(documents[term.field], term.path)
        if any(value == HIDDEN for value in found) and not reveal:
            return False
        if any(_value_fits(value, test) for value in found for test in term.tests) == term.negated:
            return False
    return True


def _document(job: Job, field: str, *, reveal: bool) -> object:
    text = job.data if field == "data" else job.result
    try:
        value = _MISSING if text is None else msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _MISSING
    return value if reveal or value is _MISSING else shown(value, job.options.sensitive)


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


def _holds(job: Job, term: Term, now: Millis) -> bool:
    return any(_test(job, term.field, test, now) for test in term.tests) != term.negated


def _test(job: Job, field: str, test: Test, now: Millis) -> bool:
    if isinstance(test, Range):
        return test.has(_NUMBERS[field](job, now))
    if field == "":
        return _is_word(job, test)
    if field in _FLAGS:
        return _FLAGS[field][test.value](job, now)
    if field == "parent":
        parent = job.parent
        return parent is not None and (_text_fits(parent.id, test) or _text_fits(f"{parent.queue}/{parent.id}", test))
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


def _is_late(job: Job, now: Millis) -> bool:
    wait = waited(job, now)
    return job.state in PENDING and wait is not None and wait > LATE_MS


_FLAGS: Mapping[str, Mapping[str, Callable[[Job, Millis], bool]]] = {
    "has": {
        "children": lambda job, now: job.pending_children > 0,
        "dedup": lambda job, now: job.dedup_id is not None,
        "error": lambda job, now: job.failed_reason is not None,
        "group": lambda job, now: job.group is not None,
        "parent": lambda job, now: job.parent is not None,
        "progress": lambda job, now: job.progress is not None,
        "result": lambda job, now: job.result is not None,
        "schedule": lambda job, now: job.schedule is not None,
        "worker": lambda job, now: job.worker is not None,
    },
    "is": {
        "finished": lambda job, now: job.state.finished,
        "late": _is_late,
        "pending": lambda job, now: job.state in PENDING,
        "recovered": lambda job, now: job.crashes > 0,
        "retried": lambda job, now: job.attempts_made > 1,
    },
}
