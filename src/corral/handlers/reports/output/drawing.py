"""What matplotlib draws. Importing this takes half a second."""

import math
import threading
from collections.abc import Sequence
from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from corral.handlers.reports.document import Chart, Series
from corral.handlers.reports.output.stand_ins import INK, Texts
from corral.handlers.reports.words import show_number, show_seconds

#: Six colours that people who see fewer of them can tell apart, on white and on black.
COLOURS = ("#4a66e0", "#d97a1f", "#128a68", "#c8463c", "#8a68d6", "#6b8299")
_TONES = {"good": "#128a68", "warn": "#e0a52c", "bad": "#d2603a", "worst": "#a3243b", "calm": "#8fa0b0"}
_HALF, _WIDE = (4.2, 2.2), (8.6, 2.3)  # inches; a wide one takes the room of two
_SIZE = 9
_ROW = 0.2  # the height of one horizontal bar
_RANKS = 12
_TICKS = {False: 5, True: 11}  # how many dates fit under the axis
# matplotlib's settings belong to the process: one chart at a time has them as it wants.
_ALONE = threading.Lock()


def svg_of(chart: Chart, texts: Texts, *, wide: bool, salt: str) -> str:
    """Draw a chart."""
    with (
        _ALONE,
        mpl.rc_context(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": salt,
                "font.family": "DejaVu Sans",
                "font.size": _SIZE,
                "text.usetex": False,
                "text.parse_math": False,
            }
        ),
    ):
        width, height = _WIDE if wide else _HALF
        if chart.kind == "rank":
            height = 0.3 + _ROW * max(3, min(len(chart.labels), _RANKS))
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        _frame(axes)
        if chart.kind == "rank":
            _ranks(axes, chart, texts, wide)
        else:
            _over_time(axes, chart, texts, wide)
        out = StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", metadata=nothing, transparent=True)
    return out.getvalue()


def _frame(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.spines["bottom"].set_alpha(0.35)
    axes.tick_params(length=0, colors=INK, labelcolor=INK, pad=5)
    axes.set_axisbelow(True)


def _over_time(axes: Axes, chart: Chart, texts: Texts, wide: bool) -> None:
    places = list(range(len(chart.labels)))
    axes.grid(axis="y", color=INK, alpha=0.13, linewidth=0.8)
    if chart.kind == "line":
        _lines(axes, chart, texts, places)
    else:
        _bars(axes, chart, texts, places)
    _labels(axes, chart, texts, wide)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=not _fractions(chart)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value, chart.unit)))
    if len(chart.series) > 1:
        _legend(axes, len(chart.series))


def _lines(axes: Axes, chart: Chart, texts: Texts, places: list[int]) -> None:
    for number, series in enumerate(chart.series):
        values, colour = _gaps(series.values), colour_of(series, number)
        name = texts.place(series.name)
        # A value between two gaps is no line: it is seen by its dot.
        dots = range(len(places)) if len(places) <= 16 else _alone(series.values)
        axes.plot(
            places, values, color=colour, linewidth=1.8, label=name, marker="o", markersize=3.2, markevery=list(dots),
            markeredgewidth=0,
        )  # fmt: skip
        if len(chart.series) == 1:
            axes.fill_between(places, values, 0, color=colour, alpha=0.10, linewidth=0)
    known = [value for series in chart.series for value in series.values if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    # From nought, unless that would flatten what there is to see, as with a coverage around 90%.
    if low >= 0 and (low < 0.6 * high or high == 0):
        axes.set_ylim(0, high * 1.08 or 1)
    else:
        room = (high - low) * 0.25 or abs(high) * 0.05 or 1
        axes.set_ylim(low - room, min(high + room, 100.0) if chart.unit == "%" and high <= 100 else high + room)
    if len(places) > 1:
        axes.set_xlim(-0.3, len(places) - 0.7)


def _bars(axes: Axes, chart: Chart, texts: Texts, places: list[int]) -> None:
    below = [0.0] * len(places)
    many = len(chart.series) if chart.kind == "bar" else 1
    width = 0.74 / many
    for number, series in enumerate(chart.series):
        values = [value or 0.0 for value in series.values]
        beside = (number - (many - 1) / 2) * width if chart.kind == "bar" else 0.0
        axes.bar(
            [place + beside for place in places], values, width, bottom=below if chart.kind == "stacked" else 0.0,
            color=colour_of(series, number), label=texts.place(series.name), linewidth=0,
        )  # fmt: skip
        if chart.kind == "stacked":
            below = [one + value for one, value in zip(below, values, strict=True)]
    if chart.empty or not any(value for series in chart.series for value in series.values):
        axes.set_ylim(0, 1)


def _labels(axes: Axes, chart: Chart, texts: Texts, wide: bool) -> None:
    count = len(chart.labels)
    if not count:
        axes.set_xticks([])
        return
    longest = max(len(text) for text in chart.labels)
    fit = max(2, min(count, _TICKS[wide] if longest <= 8 else round((80 if wide else 36) / min(longest, 18))))
    step = math.ceil(count / fit)
    shown = list(range(0, count, step))
    axes.set_xticks(shown, [texts.place(chart.labels[number], 18) for number in shown])


def _ranks(axes: Axes, chart: Chart, texts: Texts, wide: bool) -> None:
    labels, (series, *_) = chart.labels[:_RANKS], chart.series
    values = [value or 0.0 for value in series.values[:_RANKS]]
    places = list(range(len(labels)))
    bars = axes.barh(places, values, 0.62, color=COLOURS[0], linewidth=0)
    axes.bar_label(bars, [texts.place(_short(value, chart.unit)) for value in values], padding=4, color=INK)
    axes.set_yticks(places, [texts.place(text, 44 if wide else 26) for text in labels])
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    top = max(values, default=0.0)
    axes.set_xlim(min(0.0, *values, 0.0) * 1.2, top * 1.18 or 1.0)
    axes.set_ylim(len(places) - 0.5, -0.5)


def _legend(axes: Axes, count: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=min(count, 4), frameon=False, labelcolor=INK,
        handlelength=1.1, handleheight=0.7, columnspacing=1.3, handletextpad=0.5, borderaxespad=0.1, fontsize=_SIZE,
    )  # fmt: skip


def colour_of(series: Series, number: int) -> str:
    """The colour of a series: that of its tone, else the next one."""
    return _TONES[series.tone] if series.tone else COLOURS[number % len(COLOURS)]


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def _alone(values: Sequence[float | None]) -> list[int]:
    def gap(number: int) -> bool:
        return not 0 <= number < len(values) or values[number] is None

    return [number for number in range(len(values)) if not gap(number) and gap(number - 1) and gap(number + 1)]


def _fractions(chart: Chart) -> bool:
    known = [abs(value) for series in chart.series for value in series.values if value is not None]
    return max(known, default=0.0) <= 5 and any(value != int(value) for value in known)


def _short(value: float, unit: str) -> str:
    """A number beside an axis: as short as it can be."""
    if unit == "s":
        return show_seconds(value)
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            text = f"{show_number(round(value / (1e3 if letter == 'k' else size), 1))}{letter}"
            break
    else:
        text = show_number(round(value, 2))
    if unit == "%":
        return f"{text}%"
    return f"{unit}{text}" if len(unit) == 1 and not unit.isalnum() else text
