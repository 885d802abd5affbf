"""Where a search has to look: which queues, which states, from when to when. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from corral.errors import RedactedFieldError
from corral.job import FINISHED, PENDING, JobId, JobState
from corral.monitor.grammar import Query, Range, Term, Text
from corral.monitor.match import looks_inside
from corral.sensitive import shown

#: The order in which states are looked through.
ORDER = (
    JobState.ACTIVE, JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.FAILED, JobState.COMPLETED
)  # fmt: skip


class Plan(Struct, frozen=True, kw_only=True):
    """What is left to look at when everything is used that the store keeps in order."""

    queues: tuple[str, ...]
    states: tuple[JobState, ...]
    ids: tuple[JobId, ...] = ()  #: () : any
    flows: tuple[str, ...] = ()  #: only the jobs of these; () : any
    finished_after: float | None = None  #: of finished jobs only those that ended at or after this …
    finished_before: float | None = None  #: … and at or before this
    filtered: bool = False  #: whether jobs are left out one by one


def make_plan(query: Query, queues: Iterable[str]) -> Plan:
    """The plan for a search over these queues."""
    names = tuple(name for name in sorted(queues) if _may_be(query, "queue", name))
    states = tuple(state for state in ORDER if _may_be_in(query, state))
    low, high = _bounds(query, "finished")
    for field in ("created", "started"):  # nothing ends before it was added
        begin, _ = _bounds(query, field)
        low = begin if low is None else low if begin is None else max(low, begin)
    return Plan(
        queues=names,
        states=states,
        ids=_ids(query),
        flows=next((_texts(term) for term in query.of("flow") if not term.negated), ()),
        finished_after=low,
        finished_before=high,
        filtered=any(term.field not in ("queue", "state") for term in query.terms),
    )


def _may_be(query: Query, field: str, value: str) -> bool:
    return all(any(_is(value, test) for test in term.tests) != term.negated for term in query.of(field))


def _is(value: str, test: Text | Range) -> bool:
    if isinstance(test, Range):
        return False
    if test.how == "starts":
        return value.startswith(test.value)
    return test.value.casefold() in value.casefold() if test.how == "part" else value == test.value


def _may_be_in(query: Query, state: JobState) -> bool:
    if not _may_be(query, "state", str(state)):
        return False
    for term in query.terms:
        if term.negated:
            continue
        if term.field == "finished" and not state.finished:
            return False
        if term.field == "result" and state is not JobState.COMPLETED:
            return False
        words = _texts(term)
        if term.field == "is" and not any(state in _STATES_OF.get(word, ORDER) for word in words):
            return False
    return True


#: Where jobs can be that are what a word says; of the other words: anywhere.
_STATES_OF: Mapping[str, Collection[JobState]] = {
    "finished": FINISHED,
    "pending": PENDING,
    "late": PENDING,
    "stalled": {JobState.ACTIVE},
    "stuck": {JobState.ACTIVE, JobState.WAITING_CHILDREN},
}


def _texts(term: Term) -> tuple[str, ...]:
    return tuple(dict.fromkeys(test.value for test in term.tests if isinstance(test, Text)))


def _ids(query: Query) -> tuple[JobId, ...]:
    for term in query.of("id"):
        exact = [test.value for test in term.tests if isinstance(test, Text) and test.how == "is"]
        if not term.negated and len(exact) == len(term.tests):
            return tuple(dict.fromkeys(exact))
    return ()


def _bounds(query: Query, field: str) -> tuple[float | None, float | None]:
    """Between which instants a field must be."""
    low = high = None
    for term in query.of(field):
        if term.negated:
            continue
        ranges = [test for test in term.tests if isinstance(test, Range)]
        lows, highs = [one.low for one in ranges], [one.high for one in ranges]
        begins = [one for one in lows if one is not None]
        ends = [one for one in highs if one is not None]
        if len(begins) == len(lows):
            low = min(begins) if low is None else max(low, min(begins))
        if len(ends) == len(highs):
            high = max(ends) if high is None else min(high, max(ends))
    return low, high


def check_paths(query: Query, sensitive: Sequence[str] = ()) -> None:
    """Refuse a search by what is hidden from its reader.

    Raises:
        RedactedFieldError: naming the path.
    """
    for term in looks_inside(query):
        for test in term.tests:
            if _hides(term, 1 if isinstance(test, Range) else "x", sensitive):
                raise RedactedFieldError(f"{term.field}.{'.'.join(term.path)}")


def _hides(term: Term, leaf: object, sensitive: Sequence[str]) -> bool:
    # A number in the path may name an item of a list, which the paths of what is hidden leave out.
    named = [key for key in term.path if not key.isdecimal()]
    for keys in (list(term.path), named):
        value = leaf
        for key in reversed(keys):
            value = {key: value}
        if shown(value, sensitive) != value:
            return True
    return False
