"""What there is to say about a series: each finding with its numbers, its weight, and a sentence."""

from collections.abc import Sequence
from datetime import date, timedelta
from statistics import fmean, median
from typing import Literal

from msgspec import Struct

from corral.handlers.insights import words
from corral.handlers.insights.numbers import WEEK, ewma, robust_z, same_weekday, shift, trend, without_weekdays
from corral.handlers.insights.series import Series, days_between

Kind = Literal["comparison", "trend", "shift", "anomaly", "record", "stale"]
Severity = Literal["info", "notice", "warning", "critical"]
#: Weeks of the same weekday that are needed to know what is usual.
_WEEKS = 3
_SURE = 0.05
#: Of `shift`: in a month chance alone does it once in seventy times.
_CLEAR = 1.9
_GONE = 2  #: days without figures until somebody should look


class Finding(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something worth telling. Fractions: `change` 0.18 is 18 % more."""

    kind: Kind
    metric: str
    text: str
    severity: Severity = "info"
    good: bool | None = None
    day: str | None = None  #: when, for what has a day
    value: float | None = None
    expected: float | None = None
    change: float | None = None
    weight: float = 0.0  #: for the order


class Rules(Struct, frozen=True, kw_only=True):
    """What is worth telling."""

    score: float = 3.5
    smallest: float = 0.05
    alarm: float = 0.4


class Prepared(Struct, frozen=True, kw_only=True):
    """A series without gaps, and where in it the period begins."""

    series: Series
    days: list[date]
    values: list[float]
    start: int

    @property
    def flat(self) -> list[float]:
        """The days of the period without the rhythm of the week, which all days together show best."""
        return without_weekdays(self.values)[self.start :]

    @property
    def current(self) -> list[float]:
        return self.values[self.start :]

    @property
    def previous(self) -> list[float]:
        length = len(self.values) - self.start
        return self.values[max(0, self.start - length) : self.start]


def analyse(series: Series, first: date, last: date, rules: Rules) -> list[Finding]:
    """All findings about one series in the days from `first` to `last`."""
    found: list[Finding] = []
    ready = prepare(series, first, last)
    if ready is None:
        return found
    gap = (last - ready.days[-1]).days
    if gap >= _GONE:
        found.append(_stale(series, ready.days[-1], gap))
    if len(ready.current) < 3:
        return found
    found += _comparison(ready, rules)
    found += _trend(ready, rules)
    found += _shift(ready, rules)
    found += _anomalies(ready, rules)
    found += _record(ready)
    return found


def prepare(series: Series, first: date, last: date) -> Prepared | None:
    """The series without gaps; None when it says nothing about the period.

    A day without figures is a zero of what is counted; of a rate it is what the days before were. At the end it is
    neither: then something does not send figures, and a shop that suddenly sells nothing would be a false alarm.
    """
    known = sorted(day for day in series.values if day <= last)
    if not known or known[-1] < first:
        return None
    days = days_between(known[0], known[-1] if (last - known[-1]).days >= _GONE or not series.additive else last)
    values: list[float] = []
    for day in days:
        missing = 0.0 if series.additive or not values else values[-1]
        values.append(series.values.get(day, missing))
    start = max(0, (first - days[0]).days)
    return Prepared(series=series, days=days, values=values, start=start)


def ranked(findings: Sequence[Finding], most: int) -> list[Finding]:
    """The weightiest first; of one metric at most one of each kind but anomalies, and three in all."""
    chosen: list[Finding] = []
    for one in sorted(findings, key=lambda one: (-one.weight, one.metric, one.day or "")):
        same = [other for other in chosen if other.metric == one.metric]
        repeated = one.kind != "anomaly" and any(other.kind == one.kind for other in same)
        if len(same) < 3 and not repeated:
            chosen.append(one)
    return chosen[:most]


# -- kinds -------------------------------------------------------------------------------------------------------------


def _comparison(ready: Prepared, rules: Rules) -> list[Finding]:
    now, before, series = ready.current, ready.previous, ready.series
    if len(before) < len(now):
        return []
    value, expected = (sum(now), sum(before)) if series.additive else (fmean(now), fmean(before))
    if expected <= 0:
        return []
    fraction = value / expected - 1
    if abs(fraction) < rules.smallest:
        return []
    was = "was" if not series.additive or series.unit else "came to"
    text = (
        f"{series.label} {was} {words.number(value, series.unit)} in {words.span(len(now))}, "
        f"{words.compared(fraction)} in the {len(now)} days before."
    )
    good = _good(series, fraction)
    severity: Severity = "warning" if good is False and abs(fraction) >= 0.2 else "notice"
    return [
        Finding(
            kind="comparison", metric=series.metric, text=text, severity=severity, good=good, value=value,
            expected=expected, change=fraction, weight=_weight(series, fraction, 1.0),
        )
    ]  # fmt: skip


def _trend(ready: Prepared, rules: Rules) -> list[Finding]:
    values, series = ready.flat, ready.series
    level = median(values)
    if len(values) < WEEK or level <= 0:
        return []
    found = trend(values)
    fraction = found.slope * (len(values) - 1) / level
    if found.p > _SURE or abs(fraction) < rules.smallest:
        return []
    smooth = ewma(values)
    way = "rising" if found.slope > 0 else "falling"
    per = f"{words.number(abs(found.slope) * WEEK, series.unit)} a week"
    text = (
        f"{series.label} has been {way} steadily, by about {per}, "
        f"to {words.number(smooth[-1], series.unit)}{' a day' if series.additive else ''}."
    )
    good = _good(series, fraction)
    severity: Severity = "warning" if good is False else "info"
    return [
        Finding(
            kind="trend", metric=series.metric, text=text, severity=severity, good=good, value=smooth[-1],
            expected=level, change=fraction, weight=_weight(series, fraction, 0.8),
        )
    ]  # fmt: skip


def _shift(ready: Prepared, rules: Rules) -> list[Finding]:
    values, series = ready.flat, ready.series
    if len(values) < 2 * WEEK:
        return []
    found = shift(values)
    if found is None or found.score < _CLEAR or found.before <= 0:
        return []
    fraction = found.after / found.before - 1
    if abs(fraction) < max(rules.smallest, 0.1):
        return []
    at, each = ready.days[ready.start + found.start], " a day" if series.additive else ""
    text = (
        f"Since {words.day(at)}, {_lower(series.label)} is at about {words.number(found.after, series.unit)}{each} "
        f"instead of {words.number(found.before, series.unit)}: something changed then."
    )
    good = _good(series, fraction)
    severity: Severity = "warning" if good is False else "notice"
    return [
        Finding(
            kind="shift", metric=series.metric, text=text, severity=severity, good=good, day=at.isoformat(),
            value=found.after, expected=found.before, change=fraction, weight=_weight(series, fraction, 1.1),
        )
    ]  # fmt: skip


def _anomalies(ready: Prepared, rules: Rules) -> list[Finding]:
    """Days that are far from what is usual on that weekday."""
    found = []
    for index in range(ready.start, len(ready.values)):
        usual = same_weekday(ready.values, index)
        if len(usual) < _WEEKS:
            continue
        one = _anomaly(ready, index, median(usual), rules)
        if one is not None:
            found.append(one)
    return found


def _anomaly(ready: Prepared, index: int, expected: float, rules: Rules) -> Finding | None:
    series, value, at = ready.series, ready.values[index], ready.days[index]
    if expected <= 0:
        return None
    # How far days are usually from what their weekday is: over two months, for a weekday alone has too few values.
    others = [
        ready.values[day] - median(same_weekday(ready.values, day))
        for day in range(max(_WEEKS * WEEK, index - 8 * WEEK), index)
    ]
    if len(others) < WEEK:
        return None
    score = abs(robust_z(value - expected, others))
    fraction = value / expected - 1
    if score < rules.score or abs(fraction) < 0.2:
        return None
    usual = f"{words.number(expected, series.unit)} is usual on a {at:%A}"
    text = (
        f"{series.label} was {words.number(value, series.unit)} on {words.day(at)}: {usual} ({fraction * 100:+.0f} %)."
    )
    good = _good(series, fraction)
    severity: Severity = "notice"
    if good is False:
        severity = "critical" if abs(fraction) >= rules.alarm else "warning"
    # What happened today matters more than what happened in the first week of a year.
    fresh = 1.5 if len(ready.values) - index <= 2 else 1.0
    return Finding(
        kind="anomaly", metric=series.metric, text=text, severity=severity, good=good, day=at.isoformat(), value=value,
        expected=expected, change=fraction, weight=_weight(series, fraction, 1.2 * fresh),
    )  # fmt: skip


def _record(ready: Prepared) -> list[Finding]:
    series, values = ready.series, ready.values
    before = values[: ready.start]
    if series.better != "up" or not series.additive or len(before) < 8 * WEEK:
        return []
    best = max(ready.current)
    if best <= max(before):
        return []
    at = ready.days[ready.start + ready.current.index(best)]
    told = words.number(best, series.unit)
    text = f"{words.day(at)} was the best day for {_lower(series.label)} in {len(values)} days: {told}."
    return [
        Finding(
            kind="record", metric=series.metric, text=text, good=True, day=at.isoformat(), value=best,
            expected=max(before), weight=0.3 * _importance(series),
        )
    ]  # fmt: skip


def _stale(series: Series, newest: date, gap: int) -> Finding:
    text = f"There are no figures for {_lower(series.label)} since {words.day(newest)}: is the sync working?"
    return Finding(
        kind="stale", metric=series.metric, text=text, severity="warning", good=False,
        day=(newest + timedelta(days=1)).isoformat(), weight=0.6 + min(gap, 30) / 30,
    )  # fmt: skip


# -- weighing ----------------------------------------------------------------------------------------------------------

_MATTERS = {"revenue": 2.0, "payment_volume": 1.8, "orders": 1.6, "conversion_rate": 1.4, "new_customers": 1.2}


def _importance(series: Series) -> float:
    return _MATTERS.get(series.metric, 1.0)


def _weight(series: Series, fraction: float, kind: float) -> float:
    """A change of a tenth in revenue weighs as much as one of a fifth in page views; bad news come first."""
    bad = 1.25 if _good(series, fraction) is False else 1.0
    return min(abs(fraction), 3.0) * _importance(series) * kind * bad


def _good(series: Series, fraction: float) -> bool | None:
    return None if series.better is None else (fraction > 0) == (series.better == "up")


def _lower(label: str) -> str:
    return label[0].lower() + label[1:]
