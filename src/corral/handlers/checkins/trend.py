"""Mood over time: means, how they move, and a line through them. Plain functions of what was answered."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from statistics import fmean, median
from typing import Literal, NamedTuple

Direction = Literal["up", "down", "steady", "new", "unknown"]

WEEK = 7


class Reply(NamedTuple):
    """One check-in, as far as figures go."""

    person: str
    day: date
    mood: int
    planned: int = 0
    done: int = 0
    team: str = ""


class Trend(NamedTuple):
    """A week's mean mood and how it compares with the week before. None where nobody answered."""

    mood: float | None
    before: float | None
    direction: Direction
    replies: int

    @property
    def change(self) -> float | None:
        return None if self.mood is None or self.before is None else self.mood - self.before


class Week(NamedTuple):
    """A week's figures. `mood` is None when nobody answered, or too few for it to be nobody's in particular."""

    first: date
    mood: float | None
    people: int
    replies: int


def within(replies: Iterable[Reply], last: date, days: int = WEEK) -> list[Reply]:
    """Those of the `days` days that end with `last`."""
    first = last - timedelta(days - 1)
    return [reply for reply in replies if first <= reply.day <= last]


def mean(replies: Sequence[Reply]) -> float | None:
    """The mean mood; None of nothing."""
    return fmean(reply.mood for reply in replies) if replies else None


def trend(replies: Sequence[Reply], last: date, *, steady: float = 0.25) -> Trend:
    """The week that ends with `last` beside the one before it."""
    now, then = within(replies, last), within(replies, last - timedelta(WEEK))
    mood, before = mean(now), mean(then)
    direction: Direction
    if mood is None:
        direction = "unknown"
    elif before is None:
        direction = "new"
    elif abs(mood - before) <= steady:
        direction = "steady"
    else:
        direction = "up" if mood > before else "down"
    return Trend(mood, before, direction, len(now))


def weeks(replies: Sequence[Reply], last: date, count: int, *, least: int) -> list[Week]:
    """The last `count` weeks, oldest first; the mood of fewer than `least` people is not told."""
    found = []
    for back in range(count - 1, -1, -1):
        end = last - timedelta(WEEK * back)
        answered = within(replies, end)
        people = len({reply.person for reply in answered})
        mood = mean(answered) if people >= least else None
        found.append(Week(end - timedelta(WEEK - 1), None if mood is None else round(mood, 2), people, len(answered)))
    return found


def slope(moods: Sequence[float | None]) -> float | None:
    """How much the mood moves from one to the next; None of fewer than three.

    It is the median of the slopes between all pairs, so that one odd week counts little.
    """
    points = [(at, mood) for at, mood in enumerate(moods) if mood is not None]
    if len(points) < 3:
        return None
    pairs = [(b - a) / (j - i) for n, (i, a) in enumerate(points) for j, b in points[n + 1 :]]
    return median(pairs)


def low_run(replies: Sequence[Reply], low: float) -> int:
    """How many of somebody's latest check-ins in a row were low."""
    run = 0
    for reply in sorted(replies, key=lambda one: one.day, reverse=True):
        if reply.mood > low:
            break
        run += 1
    return run
