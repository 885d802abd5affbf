"""What the page says about the read model and the HTTP API."""

from benchmarks.plan_web import FAILED, FEW_FAILED, PAYLOAD, QUEUES, STORES, STREAMS
from benchmarks.report import Figures, Line, Runs, rows

#: Milliseconds that each may take.
MOST = {"overview": 150, "payloads": 100, "failed": 300}
#: Kilobytes of a list, whatever its jobs carry.
MOST_KB = 100
#: What many streams may ask the store, as a multiple of what one asks: some looks are five seconds apart, so that one
#: more or less of them falls into the time that is measured.
MOST_STREAMS = 1.5
#: The figures of the streams: what, unit, digits, and whether it is the store's cost.
_STREAMS = (
    ("calls", "calls of the store", "/s", 1, True),
    ("commands", "commands of the server", "/s", 0, True),
    ("server_ms", "processor time of the server", " ms/s", 2, False),
    ("cpu_ms", "processor time of the API", " ms/s", 2, False),
)
_TITLES = {"redis": "Redis", "sqlite": "SQLite"}


def table(runs: Runs, *, quick: bool) -> list[Line]:
    """Every figure, the API beside Bull Board."""
    figures = Figures(runs)
    jobs = FEW_FAILED if quick else FAILED
    what = {
        "overview": f"{QUEUES} queues, made anew",
        "payloads": f"50 jobs with payloads of {PAYLOAD / 1e6:g} MB",
        "failed": f"first page of {jobs:,} failed jobs",
    }
    lines = [
        line
        for store in STORES
        for figure in MOST
        if f"web/{figure}/{store}" in figures
        for line in _lines(figures, figure, store, what[figure])
    ]
    return [*lines, *(line for store in STORES if f"web/streams/{store}" in figures for line in _live(figures, store))]


def _live(figures: Figures, store: str) -> list[Line]:
    """Many streams beside a single one."""
    case, lines = f"web/streams/{store}", []
    for name, what, unit, digits, goal in _STREAMS:
        if name in ("commands", "server_ms") and store != "redis":
            continue
        one, many = figures(case, f"{name}_1"), figures(case, f"{name}_many")
        lines.append(
            Line(
                f"{_TITLES[store]}: {STREAMS} live streams beside one: {what}", f"{many:,.{digits}f}{unit}",
                f"{one:,.{digits}f}{unit} (one stream)", f"{many / one:.3g} ×" if one > 0 else "",
                f"≤ {MOST_STREAMS} × one" if goal else "", many <= one * MOST_STREAMS if goal else None,
            )
        )  # fmt: skip
    return lines


def _lines(figures: Figures, figure: str, store: str, what: str) -> list[Line]:
    case, most, where = f"web/{figure}/{store}", MOST[figure], _TITLES[store]
    beside = store == "redis"
    monitor = figures(case, "monitor_ms")
    lines = [
        Line(f"{where}: {what}: read model", f"{monitor:.1f} ms", "", "", f"≤ {most} ms", monitor <= most),
        _beside(figures, f"{where}: {what}: HTTP API", case, "ms", "ms", most, beside=beside),
        _beside(figures, f"{where}: {what}: processor time of that", case, "cpu_ms", "ms", None, beside=beside),
    ]
    if figure == "overview":
        stats = figures(case, "stats_ms")
        what = f"{where}: their totals, made anew: HTTP API"
        return [*lines, Line(what, f"{stats:.1f} ms", "", "", f"≤ {most} ms", stats <= most)]
    return [*lines, _beside(figures, f"{where}: {what}: answer", case, "kb", "kB", MOST_KB, beside=beside)]


def _beside(figures: Figures, what: str, case: str, number: str, unit: str, most: int | None, *, beside: bool) -> Line:
    """One figure of the API, and of Bull Board where it has the same store."""
    ours = figures(case, f"http_{number}")
    theirs = figures(case, f"board_{number}") if beside else None
    return Line(
        what, f"{ours:,.1f} {unit}", "" if theirs is None else f"{theirs:,.1f} {unit}",
        "" if theirs is None else f"{ours / theirs:.3g} ×", "" if most is None else f"≤ {most} {unit}",
        None if most is None else ours <= most,
    )  # fmt: skip


def markdown(runs: Runs, *, quick: bool) -> list[str]:
    """What the page says."""
    return [
        "## The read model and the HTTP API, beside Bull Board",
        "",
        "The API and Bull Board are processes of their own, each asked on one connection, and read the same Redis.",
        "",
        *rows(table(runs, quick=quick), "Bull Board"),
    ]
