"""The figures: engagement, performance and satisfaction, as plain functions of what people did."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from statistics import fmean, median, pstdev

from msgspec import Struct

from corral.handlers.metrics.payload import MetricType
from corral.handlers.metrics.periods import Span

#: Kinds of activity that figures know; every other kind shows that somebody is active.
CHECK_IN, SURVEY = "check-in", "survey"
KUDOS_GIVEN, KUDOS_RECEIVED = "kudos-given", "kudos-received"
GOAL_PLANNED, GOAL_DONE = "goal-planned", "goal-done"
#: What somebody plans or is given is not something he does.
_PASSIVE = frozenset({KUDOS_RECEIVED, GOAL_PLANNED})


class Activity(Struct, frozen=True):
    """What somebody did on a day. `value` is the mean of the moods or scores that came with it, from 1 to 5."""

    person: str
    kind: str
    count: int = 1
    value: float | None = None


class Facts(Struct, frozen=True):
    """What a figure is calculated from: how many people there are, and what they did in the span."""

    span: Span
    people: int
    activities: Sequence[Activity] = ()


class Figure(Struct, frozen=True):
    """A figure and what it is made of. `value` is None where there is nothing, or too little, to calculate it from."""

    value: float | None
    parts: Mapping[str, float | int | None]
    note: str = ""  #: why there is no value


def engagement(facts: Facts, *, work_days: AbstractSet[int], least: int) -> Figure:
    """The share of the people who did something, from 0 to 1."""
    active = {one.person for one in facts.activities if one.kind not in _PASSIVE}
    praised = {one.person for one in facts.activities if one.kind == KUDOS_RECEIVED}
    people = max(facts.people, len(active | praised))  # a head count may be older than what people did
    check_ins, kudos = _count(facts, CHECK_IN), _count(facts, KUDOS_GIVEN)
    expected = people * facts.span.work_days(work_days)
    parts = {
        "people": people,
        "active": len(active),
        "checkIns": check_ins,
        "checkInRate": _share(min(check_ins, expected), expected),
        "kudos": kudos,
        "kudosPerPerson": _share(kudos, people),
        "recognised": _share(len(praised), people),
    }
    value = _share(len(active), people)
    return Figure(value, parts, "" if people else "there are no people")


def performance(facts: Facts, *, work_days: AbstractSet[int], least: int) -> Figure:
    """The share of the planned goals that were reached, from 0 to 1: more than he planned helps nobody else."""
    planned: dict[str, int] = defaultdict(int)
    done: dict[str, int] = defaultdict(int)
    for one in facts.activities:
        if one.kind == GOAL_PLANNED:
            planned[one.person] += one.count
        elif one.kind == GOAL_DONE:
            done[one.person] += one.count
    reached = {person: min(done[person], count) for person, count in planned.items()}
    shares = [reached[person] / count for person, count in planned.items()]
    parts = {
        "people": len(planned),
        "planned": sum(planned.values()),
        "done": sum(reached.values()),
        "extra": sum(done.values()) - sum(reached.values()),
        "median": round(median(shares), 3) if len(shares) >= least else None,
    }
    return Figure(_share(parts["done"] or 0, parts["planned"] or 0), parts, "" if planned else "no goals were planned")


def satisfaction(facts: Facts, *, work_days: AbstractSet[int], least: int) -> Figure:
    """The mean mood, from 1 to 5. Everybody counts the same, however often he answered; too few are not told."""
    answers: dict[str, list[float]] = defaultdict(list)
    for one in facts.activities:
        if one.kind in (CHECK_IN, SURVEY) and one.value is not None:
            answers[one.person] += [one.value] * one.count
    count = sum(len(several) for several in answers.values())
    if len(answers) < least:
        note = f"{least} people must have answered for it not to be somebody's own" if answers else "nobody answered"
        return Figure(None, {"people": len(answers), "answers": count}, note)
    means = [fmean(several) for several in answers.values()]
    parts = {
        "people": len(answers),
        "answers": count,
        "good": _share(sum(mean >= 4 for mean in means), len(means)),
        "low": _share(sum(mean <= 2 for mean in means), len(means)),
        "spread": round(pstdev(means), 2),
    }
    return Figure(round(fmean(means), 2), parts)


FIGURES: Mapping[MetricType, Callable[..., Figure]] = {
    "engagement": engagement,
    "performance": performance,
    "satisfaction": satisfaction,
}


def _count(facts: Facts, kind: str) -> int:
    return sum(one.count for one in facts.activities if one.kind == kind)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None
