"""Small charts as SVG, drawn here: no script is needed to see them, and a text says the same."""

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, GAP = 120, 28, 1.0
#: Of a chart in a table: how wide an hour is, and how tall the tallest.
HOUR_WIDE, SMALL = 3, 20


def bars(values: Sequence[float | None], *, label: str, kind: str = "neutral", width: int = WIDTH) -> Markup:
    """A row of bars, the highest as tall as the picture; `kind` is a class that gives the colour."""
    known = [value or 0 for value in values]
    top = max(known, default=0) or 1
    step = width / max(len(known), 1)
    wide = max(step - GAP, 0.8)
    drawn = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="0.8"/>').format(
            place * step, HEIGHT - max(value / top * HEIGHT, 1.5), wide, max(value / top * HEIGHT, 1.5)
        )
        for place, value in enumerate(known)
        if value
    ]
    return _picture(drawn, label, f"bars {kind}", width)


def line(values: Sequence[float | None], *, label: str, kind: str = "neutral", width: int = WIDTH) -> Markup:
    """A line over an area; where nothing is known it breaks off."""
    top = max((value for value in values if value is not None), default=0) or 1
    step = width / max(len(values) - 1, 1)
    drawn: list[Markup] = []
    for run in _runs(values):
        points = [(place * step, HEIGHT - 2 - value / top * (HEIGHT - 4)) for place, value in run]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if len(points) == 1:
            drawn.append(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="1.6"/>').format(*points[0]))
            continue
        area = f"{points[0][0]:.1f},{HEIGHT} {path} {points[-1][0]:.1f},{HEIGHT}"
        drawn.append(Markup('<polygon points="{}"/><polyline points="{}"/>').format(area, path))
    return _picture(drawn, label, f"line {kind}", width)


def hours(values: Sequence[int] | None) -> Markup:
    """A day in a cell of a table, an hour for each value: one path, as there may be hundreds of them on a page."""
    if not values:
        return Markup("–")
    top = max(values) or 1
    drawn, level, flat = "", -1, 0
    for value in (*values, -1):
        tall = round(value / top * (SMALL - 1)) + (value > 0) if value >= 0 else -1
        if tall == level:
            flat += HOUR_WIDE
            continue
        drawn += f"h{flat}" if flat else ""
        drawn += f"V{SMALL - tall}" if tall >= 0 else ""
        level, flat = tall, HOUR_WIDE
    return Markup('<svg class="day" viewBox="0 0 {} {}" role="img" aria-label="{:,}, at most {:,} an hour">'
                  '<path d="M0 {}{}V{}"/></svg>').format(
        HOUR_WIDE * len(values), SMALL, sum(values), max(values), SMALL, drawn, SMALL
    )  # fmt: skip


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    found: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((place, value))
    return [run for run in found if run]


def _picture(drawn: Sequence[Markup], label: str, kind: str, width: int) -> Markup:
    return Markup(
        '<svg class="spark {}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}"'
        ' preserveAspectRatio="none"><title>{}</title>{}</svg>'
    ).format(kind, width, HEIGHT, width, HEIGHT, label, label, Markup("").join(drawn))


def filled(points: Sequence[Sequence[float | None]], since: int, step: int, count: int) -> list[float | None]:
    """The values of a chart of the API, one for each stretch; those it leaves out had nothing."""
    found: list[float | None] = [None] * count
    for at, value, *_ in points:
        place = int(((at or 0) - since) // step)
        if 0 <= place < count:
            found[place] = value
    return found
