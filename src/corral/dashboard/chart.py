"""Charts as SVG, drawn here: axes, lines or bars, marks; and the same as a table for whoever cannot see them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from markupsafe import Markup
from msgspec import Struct

from corral.dashboard import words
from corral.dashboard.spark import filled

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 52, 22, 10
ROWS = 4
#: How many rows its table has at most.
TABLE = 60


class Chart(Struct, frozen=True):
    """A picture, the names of its lines, and its numbers."""

    svg: Markup
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    source: str
    is_empty: bool


def chart(answer: Mapping[str, object], marks: Mapping[str, object]) -> Chart:
    """A chart of an answer of `/metrics/series`, with marks as upright lines."""
    step = int(cast(int, answer["step_ms"]))
    until = int(words.moment(str(answer["until"])).timestamp() * 1000)
    since = int(words.moment(str(answer["since"])).timestamp() * 1000) // step * step
    count = max(1, min((until - since) // step + 1, 2_000))
    lines = cast("Sequence[Mapping[str, object]]", answer["series"])
    unit = str(answer["unit"])
    names = tuple(_name(cast("Mapping[str, str]", line["labels"]), str(answer["metric"])) for line in lines)
    points = [cast("Sequence[Sequence[float | None]]", line["points"]) for line in lines]
    values = [filled(one, since, step, count) for one in points]
    top = _round_up(max((value or 0 for line in values for value in line), default=0))
    drawn = [_grid(top, unit), _times(since, step, count)]
    drawn += [_marks(marks, since, until)]
    is_bars = unit == "jobs"
    drawn += _stack(values, top) if is_bars else [_line(line, top, place) for place, line in enumerate(values)]
    label = f"{answer['metric']}: {', '.join(names)}"
    svg = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        WIDTH, HEIGHT, label, label, Markup("").join(drawn)
    )
    return Chart(svg, names, _table(values, since, step, unit), str(answer["source"]), not any(points))


def _name(labels: Mapping[str, str], metric: str) -> str:
    return labels.get("agg") or labels.get("state") or metric.replace("_", " ")


def _round_up(value: float) -> float:
    """The end of the axis: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 10.0**-3
    while True:
        for factor in (1, 2, 5):
            if power * factor >= value:
                return power * factor
        power *= 10


def _said(value: float, unit: str) -> str:
    return words.duration(value) if unit == "ms" else words.share(value) if unit == "share" else words.short(value)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top)


def _x(place: float, count: int) -> float:
    return LEFT + (WIDTH - LEFT - 4) * place / max(count, 1)


def _grid(top: float, unit: str) -> Markup:
    row = Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text class="y" x="{3}" y="{4:.1f}">{5}</text>')
    drawn = []
    for value in (top * step / ROWS for step in range(ROWS + 1)):
        y = _y(value, top)
        drawn.append(row.format(LEFT, WIDTH - 4, y, LEFT - 6, y + 4, _said(value, unit)))
    return Markup('<g class="grid">{}</g>').format(Markup("").join(drawn))


def _times(since: int, step: int, count: int) -> Markup:
    shown = []
    form = "%H:%M" if step * count <= 2 * 86_400_000 else "%d %b"
    for part in range(6):
        place = count * part // 6
        at = datetime.fromtimestamp((since + place * step) / 1000, UTC)
        shown.append(
            Markup('<text class="x" x="{:.0f}" y="{}">{}</text>').format(_x(place, count), HEIGHT - 6, f"{at:{form}}")
        )
    return Markup('<g class="times">{}</g>').format(Markup("").join(shown))


def _marks(marks: Mapping[str, object], since: int, until: int) -> Markup:
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


def _stack(values: Sequence[Sequence[float | None]], top: float) -> list[Markup]:
    """Bars on top of each other: completed, then failed."""
    count = len(values[0]) if values else 0
    wide = max((WIDTH - LEFT - 4) / max(count, 1) - 1, 0.8)
    drawn = []
    for place in range(count):
        below = 0.0
        for kind, line in enumerate(values):
            value = line[place] or 0
            if value:
                high = _y(below, top) - _y(below + value, top)
                drawn.append(
                    Markup('<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                        kind, _x(place, count), _y(below + value, top), wide, max(high, 1.0)
                    )
                )
            below += value
    return drawn


def _line(values: Sequence[float | None], top: float, kind: int) -> Markup:
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_x(place + 0.5, len(values)):.1f},{_y(value, top):.1f}")
    drawn = [
        Markup('<polyline class="s{}" points="{}"/>').format(kind, " ".join(run))
        if len(run) > 1
        else Markup('<circle class="s{}" cx="{}" cy="{}" r="2"/>').format(kind, *run[0].split(","))
        for run in runs
        if run
    ]
    return Markup("").join(drawn)


def _table(
    values: Sequence[Sequence[float | None]], since: int, step: int, unit: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    count = len(values[0]) if values else 0
    rows: list[tuple[str, tuple[str, ...]]] = []
    for place in range(count - 1, -1, -1):
        if any(line[place] is not None for line in values) and len(rows) < TABLE:
            at = datetime.fromtimestamp((since + place * step) / 1000, UTC)
            said = tuple("–" if line[place] is None else _said(cast(float, line[place]), unit) for line in values)
            rows.append((f"{at:%Y-%m-%d %H:%M}", said))
    return tuple(rows)
