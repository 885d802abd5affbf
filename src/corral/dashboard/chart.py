"""Charts as SVG, drawn here: axes, lines or bars, marks; and the same as a table for whoever cannot see them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10
from typing import cast

from markupsafe import Markup
from msgspec import Struct

from corral.dashboard import words
from corral.dashboard.spark import filled
from corral.dashboard.times import DEFAULT, Times

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 62, 22, 10
ROWS = 4
#: How many rows its table has at most.
TABLE = 60
#: On an axis of powers of ten no value is lower: of durations a millisecond.
LEAST = 1.0
#: Ends of an axis of times beyond a second, in milliseconds: 2 s to 4 days.
CLOCK_MS = tuple(
    1_000 * seconds
    for seconds in (2, 4, 8, 20, 40, 60, 120, 240, 600, 1_200, 2_400, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800,
                    345_600)
)  # fmt: skip
Answer = Mapping[str, object]
Values = Sequence[float | None]


class Chart(Struct, frozen=True):
    """A picture, the names of its lines, and its numbers."""

    svg: Markup
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    source: str
    is_empty: bool
    kind: str  #: `s` when bars are stacked, `l` when lines are drawn: what the classes of its colours begin with
    query: str = ""  #: the same in PromQL, where workers or the API export it


class More(Struct, frozen=True):
    """Lines of another answer, drawn into the same chart."""

    name: str
    answer: Answer
    factor: float = 1.0  #: from its unit to the chart's


class _Axis(Struct, frozen=True):
    """The upright axis: from its bottom to its top, evenly or by powers of ten."""

    top: float
    unit: str
    bottom: float = 0.0

    @property
    def is_log(self) -> bool:
        return self.bottom > 0

    def y(self, value: float) -> float:
        if self.is_log:
            part = log10(max(value, self.bottom) / self.bottom) / log10(self.top / self.bottom)
        else:
            part = value / self.top
        return TOP + (HEIGHT - BOTTOM - TOP) * (1 - part)

    def steps(self) -> list[float]:
        if self.is_log:
            return [self.bottom * 10.0**power for power in range(round(log10(self.top / self.bottom)) + 1)]
        return [self.top * step / ROWS for step in range(ROWS + 1)]

    def said(self, value: float) -> str:
        if self.unit == "ms":
            return words.duration(value)
        return words.share(value) if self.unit == "share" else words.short(value)


def chart(
    answer: Answer, marks: Answer, *, times: Times = DEFAULT, more: Sequence[More] = (), name: str = "",
    log: bool = False, query: str = "",
) -> Chart:  # fmt: skip
    """A chart of an answer of `/metrics/series`, with marks as upright lines.

    Args:
        more: lines of other answers with the same stretches; bars then become lines.
        name: what a line is called that has no label of its own.
        log: an axis of powers of ten, for durations.
        query: the same in PromQL.
    """
    step = int(cast(int, answer["step_ms"]))
    until = int(words.moment(str(answer["until"])).timestamp() * 1000)
    since = int(words.moment(str(answer["since"])).timestamp() * 1000) // step * step
    count = max(1, min(ceil((until - since) / step), 3_000))
    lines = _lines(answer, name or str(answer["metric"]).replace("_", " "), 1.0)
    lines += [line for one in more for line in _lines(one.answer, one.name, one.factor)]
    names = tuple(said for said, _ in lines)
    values = [filled(points, since, step, count) for _, points in lines]
    unit, is_bars = str(answer["unit"]), answer["unit"] == "jobs" and not more
    axis = _axis(values, unit, is_bars, log and unit == "ms")
    is_filling = bool(answer["partial_last"])
    drawn = [_grid(axis), _times(since, step, count, times), _marks(marks, since, since + count * step)]
    drawn += (
        _stack(values, axis, is_filling)
        if is_bars
        else [_line(line, axis, place, is_filling) for place, line in enumerate(values)]
    )
    label = f"{answer['metric']}: {', '.join(names)}"
    svg = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        WIDTH, HEIGHT, label, label, Markup("").join(drawn)
    )
    return Chart(
        svg, names, _table(values, since, step, axis, times), str(answer["source"]),
        not any(value is not None for line in values for value in line), "s" if is_bars else "l", query,
    )  # fmt: skip


def _lines(answer: Answer, name: str, factor: float) -> list[tuple[str, list[list[float | None]]]]:
    found = []
    for line in cast("Sequence[Mapping[str, object]]", answer["series"]):
        labels = cast("Mapping[str, str]", line["labels"])
        points = cast("Sequence[Sequence[float | None]]", line["points"])
        scaled = [[at, None if value is None else value * factor] for at, value, *_ in points]
        found.append((labels.get("agg") or labels.get("state") or name, scaled))
    return found


def _axis(values: Sequence[Values], unit: str, is_bars: bool, log: bool) -> _Axis:
    known: Sequence[float] = [value or 0.0 for line in values for value in line]
    if is_bars:
        known = [sum(value or 0.0 for value in column) for column in zip(*values, strict=True)]
    highest = max(known, default=0.0)
    if not log:
        return _Axis(_end(highest, unit), unit)
    lowest = min((value for value in known if value > 0), default=LEAST)
    bottom = 10.0 ** floor(log10(max(lowest, LEAST)))
    return _Axis(max(10.0 ** ceil(log10(max(highest, LEAST))), bottom * 10), unit, bottom)


def _end(value: float, unit: str) -> float:
    """The end of the axis, of which a quarter is easily read: a whole number of jobs, 15 rather than 16.7 minutes."""
    if unit == "ms" and value > 1_000:
        return next((end for end in CLOCK_MS if end >= value), None) or CLOCK_MS[-1] * ceil(value / CLOCK_MS[-1])
    return max(4.0, _round_up(value, (2, 4, 8))) if unit == "jobs" else _round_up(value, (1, 2, 5))


def _round_up(value: float, factors: Sequence[int]) -> float:
    """So many times a power of ten."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 10.0**-3
    while True:
        for factor in factors:
            if power * factor >= value:
                return power * factor
        power *= 10


def _x(place: float, count: int) -> float:
    return LEFT + (WIDTH - LEFT - 4) * place / max(count, 1)


def _grid(axis: _Axis) -> Markup:
    row = Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text class="y" x="{3}" y="{4:.1f}">{5}</text>')
    drawn = []
    for value in axis.steps():
        y = axis.y(value)
        drawn.append(row.format(LEFT, WIDTH - 4, y, LEFT - 6, y + 4, axis.said(value)))
    return Markup('<g class="grid">{}</g>').format(Markup("").join(drawn))


def _times(since: int, step: int, count: int, times: Times) -> Markup:
    shown = []
    form = "%H:%M" if step * count <= 2 * 86_400_000 else "%d %b"
    for part in range(6):
        place = count * part // 6
        at = times.inside(_at(since + place * step))
        shown.append(
            Markup('<text class="x" x="{:.0f}" y="{}">{}</text>').format(_x(place, count), HEIGHT - 6, f"{at:{form}}")
        )
    return Markup('<g class="times">{}</g>').format(Markup("").join(shown))


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _marks(marks: Answer, since: int, until: int) -> Markup:
    drawn = []
    for mark in cast("Sequence[Mapping[str, object]]", marks["items"]):
        at = words.moment(str(mark["at"])).timestamp() * 1000
        if since <= at <= until:
            x = LEFT + (WIDTH - LEFT - 4) * (at - since) / max(until - since, 1)
            drawn.append(
                Markup(
                    '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"><title>{3}</title></line>'
                ).format(x, TOP, HEIGHT - BOTTOM, mark["label"])
            )
    return Markup("").join(drawn)


def _stack(values: Sequence[Values], axis: _Axis, is_filling: bool) -> list[Markup]:
    """Bars on top of each other: completed, then failed. The last one may be filling still."""
    count = len(values[0]) if values else 0
    wide = max((WIDTH - LEFT - 4) / max(count, 1) - 1, 0.8)
    drawn = []
    for place in range(count):
        below = 0.0
        filling = " filling" if is_filling and place == count - 1 else ""
        for kind, line in enumerate(values):
            value = line[place] or 0
            if value:
                high = axis.y(below) - axis.y(below + value)
                drawn.append(
                    Markup('<rect class="s{}{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                        kind, filling, _x(place, count), axis.y(below + value), wide, max(high, 1.0)
                    )
                )
            below += value
    return drawn


def _line(values: Values, axis: _Axis, kind: int, is_filling: bool) -> Markup:
    """A line that breaks off where nothing is known. The way to its last point is dashed while that is filling."""
    points = [
        None if value is None else f"{_x(place + 0.5, len(values)):.1f},{axis.y(value):.1f}"
        for place, value in enumerate(values)
    ]
    drawn = []
    if is_filling and len(points) > 1 and points[-1] is not None and points[-2] is not None:
        drawn.append(_run([points[-2], points[-1]], kind, " filling"))
        points.pop()
    run: list[str] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            drawn.append(_run(run, kind))
            run = []
    return Markup("").join(drawn)


def _run(points: Sequence[str], kind: int, more: str = "") -> Markup:
    if len(points) == 1:
        return Markup('<circle class="l{}" cx="{}" cy="{}" r="2"/>').format(kind, *points[0].split(","))
    return Markup('<polyline class="l{}{}" points="{}"/>').format(kind, more, " ".join(points))


def _table(
    values: Sequence[Values], since: int, step: int, axis: _Axis, times: Times
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    count = len(values[0]) if values else 0
    rows: list[tuple[str, tuple[str, ...]]] = []
    for place in range(count - 1, -1, -1):
        column = [line[place] for line in values]
        if any(value is not None for value in column) and len(rows) < TABLE:
            said = tuple("–" if value is None else axis.said(value) for value in column)
            rows.append((f"{times.inside(_at(since + place * step)):%Y-%m-%d %H:%M}", said))
    return tuple(rows)
