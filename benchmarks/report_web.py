"""What the page says about the read model and the HTTP API."""

from benchmarks.plan_web import FAILED, FEW_FAILED, PAYLOAD, QUEUES, STORES
from benchmarks.report import Figures, Line, Runs, rows

#: Milliseconds that each may take.
MOST = {"overview": 150, "payloads": 100, "failed": 300}
#: Kilobytes of a list, whatever its jobs carry.
MOST_KB = 100
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
    return [
        line
        for store in STORES
        for figure in MOST
        if f"web/{figure}/{store}" in figures
        for line in _lines(figures, figure, store, what[figure])
    ]


def _lines(figures: Figures, figure: str, store: str, what: str) -> list[Line]:
    case, most = f"web/{figure}/{store}", MOST[figure]
    ours, monitor = figures(case, "http_ms"), figures(case, "monitor_ms")
    theirs = figures(case, "board_ms") if store == "redis" else None
    where = _TITLES[store]
    cpu = figures(case, "monitor_cpu_ms")
    lines = [
        Line(f"{where}: {what}: read model", f"{monitor:.1f} ms", "", "", f"≤ {most} ms", monitor <= most),
        Line(f"{where}: {what}: processor time of that", f"{cpu:.1f} ms"),
        Line(
            f"{where}: {what}: HTTP API", f"{ours:.1f} ms", "" if theirs is None else f"{theirs:.1f} ms",
            "" if theirs is None else f"{ours / theirs:.2f} ×", f"≤ {most} ms", ours <= most,
        ),
    ]  # fmt: skip
    if figure == "overview":
        stats = figures(case, "stats_ms")
        return [
            *lines,
            Line(f"{where}: their totals: HTTP API", f"{stats:.1f} ms", "", "", f"≤ {most} ms", stats <= most),
        ]
    size = figures(case, "http_kb")
    their_size = figures(case, "board_kb") if store == "redis" else None
    return [
        *lines,
        Line(
            f"{where}: {what}: answer", f"{size:,.0f} kB", "" if their_size is None else f"{their_size:,.0f} kB",
            "" if their_size is None else f"{size / their_size:.3f} ×", f"≤ {MOST_KB} kB", size <= MOST_KB,
        ),
    ]  # fmt: skip


def markdown(runs: Runs, *, quick: bool) -> list[str]:
    """What the page says."""
    return [
        "## The read model and the HTTP API, beside Bull Board",
        "",
        "The API and Bull Board are processes of their own, each asked on one connection, and read the same Redis.",
        "",
        *rows(table(runs, quick=quick), "Bull Board"),
    ]
