"""From runs to figures: medians, ratios against the rival, and whether each target is met. Here on SQLite."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Numbers
from benchmarks.plan import SLOTS, WORKERS

#: Per case, the figures of each round.
Runs = Mapping[str, Sequence[Numbers]]


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None  #: None: nothing was promised


class Figures:
    """Medians over the rounds."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def __call__(self, case: str, figure: str) -> float:
        """The median of one figure of one case."""
        return statistics.median(run[figure] for run in self._runs[case])

    def __contains__(self, case: str) -> bool:
        """Whether it was measured."""
        return case in self._runs

    def under(self, prefix: str) -> list[str]:
        """The cases whose key begins so."""
        return [case for case in self._runs if case.startswith(prefix)]

    def spread(self, case: str, figure: str) -> str:
        """The slowest and the fastest round, as shares of the median."""
        values = [run[figure] for run in self._runs[case]]
        middle = statistics.median(values)
        return f"{min(values) / middle:.2f}–{max(values) / middle:.2f}"

    def best(self, prefix: str, choices: Sequence[int]) -> str:
        """The case with the highest rate among several concurrencies."""
        return max((f"{prefix}/{choice}" for choice in choices), key=lambda case: self(case, "per_second"))


def table(runs: Runs, backlog: int) -> list[Line]:
    """Every figure that is stated, in the order of the page."""
    figures = Figures(runs)
    return [
        *_draining(figures),
        *_adding(figures),
        *_backlog(figures, backlog),
        *_latency(figures),
        *_starting(figures),
    ]


def rate(value: float) -> str:
    return f"{value:,.0f}/s"


def _against(what: str, ours: float, theirs: float, least: float, label: str = "") -> Line:
    ratio = ours / theirs
    return Line(what, rate(ours), rate(theirs), f"{ratio:.2f} ×", f"≥ {least:g} ×{label}", ratio >= least)


def _draining(figures: Figures) -> list[Line]:
    ours, theirs = figures.best("drain/ours", SLOTS), figures.best("drain/theirs", WORKERS)
    best, rival = figures(ours, "per_second"), figures(theirs, "per_second")
    one = figures("drain/ours/100", "per_second")
    two = figures("drain-two/ours", "per_second")
    single, their_single = figures("drain-single/ours", "per_second"), figures("drain-single/theirs", "per_second")
    slow = figures("drain-10ms/ours", "per_second")
    kept = figures("drain-kept/ours", "per_second")
    cpu, their_cpu = figures(ours, "cpu_us"), figures(theirs, "cpu_us")
    return [
        _against(f"drain, {ours.rpartition('/')[2]} slots / {theirs.rpartition('/')[2]} threads", best, rival, 8),
        _against("drain, every completed job kept (100 slots)", kept, rival, 8),
        Line(
            "drain: processor time per job", f"{cpu:.1f} µs", f"{their_cpu:.1f} µs", f"{cpu / their_cpu:.2f} ×"
        ),
        _against("drain, one job at a time", single, their_single, 1),
        Line(
            "drain, two processes (100 slots each)", rate(two), rate(figures("drain-two/theirs", "per_second")),
            f"{two / one:.2f} × one", "≥ 1 × one process", two >= one,
        ),
        Line("drain, jobs of 10 ms, 100 slots", rate(slow), "", "", "≥ 9,000/s of 10,000", slow >= 9_000),
    ]  # fmt: skip


def _adding(figures: Figures) -> list[Line]:
    one, rival = figures("add-one/ours", "per_second"), figures("add-one/theirs", "per_second")
    many, bulk = figures("add-concurrent/ours", "per_second"), figures("add-bulk/ours", "per_second")
    size, their_size = figures("bytes/ours", "bytes"), figures("bytes/theirs", "bytes")
    cpu, their_cpu = figures("add-one/ours", "cpu_us"), figures("add-one/theirs", "cpu_us")
    return [
        _against("add, one by one", one, rival, 1),
        _against("add, 100 callers at once", many, rival, 5, " of one by one"),
        Line("add, 100 callers: share of the bulk rate", f"{many / bulk:.2f}", "", "", "≥ 0.5", many >= bulk / 2),
        Line(
            "add in bulk (1,000 a call)", rate(bulk), "no such call", f"{bulk / rival:.1f} ×", "≥ 50,000/s",
            bulk >= 50_000,
        ),
        Line(
            "add: processor time per job, one by one", f"{cpu:.0f} µs", f"{their_cpu:.0f} µs",
            f"{cpu / their_cpu:.2f} ×",
        ),
        Line("add: processor time per job, 100 callers", f"{figures('add-concurrent/ours', 'cpu_us'):.1f} µs"),
        Line("add: processor time per job, in bulk", f"{figures('add-bulk/ours', 'cpu_us'):.1f} µs"),
        Line(
            "bytes on disk per waiting job", f"{size:.0f}", f"{their_size:.0f}", f"{size / their_size:.2f} ×", "≤ 300",
            size <= 300,
        ),
    ]  # fmt: skip


def _backlog(figures: Figures, waiting: int) -> list[Line]:
    lines = []
    for verb in ("add", "claim"):
        for part, target in (("p50", None), ("p99", 2.0)):
            empty, full = figures("backlog/empty", f"{verb}_{part}"), figures("backlog/full", f"{verb}_{part}")
            lines.append(
                Line(
                    f"{verb} {part}: empty queue / {waiting:,} waiting", f"{empty:.2f} / {full:.2f} ms", "",
                    f"{full / empty:.2f} × empty", "" if target is None else f"≤ {target:g} × empty",
                    None if target is None else full <= target * empty,
                )
            )  # fmt: skip
    return lines


def _latency(figures: Figures) -> list[Line]:
    lines = []
    for case, what, middle, high in (
        ("latency", "add to start, one process", 2.0, 5.0),
        ("latency-across", "add to start, two processes", 10.0, 10.0),
    ):
        for part, target in (("p50", middle), ("p99", high)):
            value = figures(f"{case}/ours", part)
            theirs = f"{figures('latency/theirs', part):.1f} ms" if case == "latency" else ""
            lines.append(Line(f"{what}, {part}", f"{value:.2f} ms", theirs, "", f"≤ {target:g} ms", value <= target))
    return lines


def _starting(figures: Figures) -> list[Line]:
    imports, helps = figures("start/ours", "import_ms"), figures("start/ours", "help_ms")
    memory = figures("idle/ours", "rss_mb")
    return [
        Line("from corral import Corral", f"{imports:.0f} ms", "", "", "≤ 120 ms", imports <= 120),
        Line("corral --help", f"{helps:.0f} ms", "", "", "≤ 150 ms", helps <= 150),
        Line("idle worker: memory", f"{memory:.0f} MB", "", "", "≤ 45 MB", memory <= 45),
        Line("idle worker: processor", f"{figures('idle/ours', 'cpu_percent'):.1f} % of a core"),
    ]


# -- the page ----------------------------------------------------------------------------------------------------------

_MARK = {True: "met", False: "**not met**", None: ""}


def rows(lines: Sequence[Line], rival: str) -> list[str]:
    """The lines as a Markdown table."""
    return [
        f"| | corral | {rival} | ratio | target | |",
        "|---|--:|--:|--:|--:|---|",
        *(
            f"| {line.what} | {line.ours} | {line.theirs} | {line.ratio} | {line.target} | {_MARK[line.met]} |"
            for line in lines
        ),
    ]


def markdown(runs: Runs, backlog: int) -> list[str]:
    """What the page says about SQLite."""
    return [
        "## On a SQLite file, beside huey",
        "",
        f"Both sides at `synchronous=FULL`. {noise(runs)}",
        "",
        *rows(table(runs, backlog), "huey"),
    ]


def noise(runs: Runs) -> str:
    """How far to trust it."""
    figures = Figures(runs)
    return (
        f"Slowest and fastest round of the drain: {figures.spread('drain/ours/100', 'per_second')} (corral) and "
        f"{figures.spread('drain/theirs/4', 'per_second')} (huey) of the median."
    )


def plain(lines: Sequence[Line]) -> str:
    """The same for a terminal."""
    marks = {True: "met", False: "NOT MET", None: ""}
    return "\n".join(
        f"{line.what:<52}{line.ours:>20}{line.theirs:>30}{line.ratio:>16}{line.target:>26}  {marks[line.met]}".rstrip()
        for line in lines
    )
