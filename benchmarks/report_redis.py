"""What the page says about Redis: corral against its named rivals, then everyone with everything."""

from collections.abc import Mapping, Sequence

from benchmarks.catalogue import PEERS
from benchmarks.plan import SLOTS, WORKERS
from benchmarks.plan_redis import WAITING
from benchmarks.report import Figures, Line, Runs, rate, rows

#: Whom the line "best Python queue on Redis" may choose from.
PYTHON = [peer.name for peer in PEERS.values() if peer.store == "redis" and not peer.environment.node]
BULLMQ, OFFICIAL = "bullmq", "bullmq-py"


class Sides(Figures):
    """Medians, by figure and side: each at its best choice."""

    def case(self, figure: str, side: str) -> str:
        """The fastest of a side's cases; empty when it was not measured."""
        cases = self.under(f"redis/{figure}/{side}/")
        return max(cases, key=lambda case: self(case, "per_second"), default="")

    def of(self, figure: str, side: str, number: str = "per_second") -> float | None:
        """One number of a side at its best choice."""
        case = self.case(figure, side)
        return self(case, number) if case else None

    def choice(self, figure: str, side: str) -> str:
        """At which choice that was."""
        return self.case(figure, side).rpartition("/")[2]

    def fastest(self, figure: str, sides: Sequence[str]) -> str:
        """The fastest of several sides."""
        return max(sides, key=lambda side: self.of(figure, side) or 0.0)

    def late(self, side: str, part: str) -> float | None:
        """A percentile of the delay: no rate decides here."""
        cases = self.under(f"redis/latency/{side}/")
        return self(cases[0], part) if cases else None


def table(runs: Runs) -> list[Line]:
    """Every figure for which something was promised."""
    sides = Sides(runs)
    return [line for lines in (_draining, _adding, _costs, _latency, _backlog) for line in lines(sides)]


def _against(
    sides: Sides, what: str, figure: str, rival: str, least: float | None, *, number: str = "per_second"
) -> list[Line]:
    """A line for a ratio of rates, when both were measured."""
    ours, theirs = sides.of(figure, "corral", number), sides.of(figure, rival, number)
    if ours is None or theirs is None:
        return []
    ratio = ours / theirs
    target = "" if least is None else f"≥ {least:g} ×"
    named = f"{rate(theirs)} {PEERS[rival].title}"
    return [Line(what, rate(ours), named, f"{ratio:.2f} ×", target, None if least is None else ratio >= least)]


def _at_most(what: str, both: Sequence[float | None], unit: str) -> list[Line]:
    """A line for something that may not be more than BullMQ's."""
    ours, theirs = both
    if ours is None or theirs is None:
        return []
    pattern = "{:.2f}" if unit == "ms" else "{:.1f}" if unit == "µs" else "{:.0f}"
    shown = [f"{pattern.format(value)} {unit}".strip() for value in (ours, theirs)]
    named = f"{shown[1]} {PEERS[BULLMQ].title}"
    return [Line(what, shown[0], named, f"{ours / theirs:.2f} ×", "≤ 1 ×", ours <= theirs)]


def _draining(sides: Sides) -> list[Line]:
    python = sides.fastest("drain-all", PYTHON)
    slots = f"{sides.choice('drain-all', 'corral')} / {sides.choice('drain-all', BULLMQ)} slots"
    lines = [
        *_against(sides, f"drain, all kept, {slots}", "drain-all", BULLMQ, 2),
        *_against(sides, "drain, all kept: best Python queue on Redis", "drain-all", python, 8),
        *_against(sides, "drain, all kept: official Python BullMQ", "drain-all", OFFICIAL, None),
        *_against(sides, "drain, newest 1,000 kept", "drain-1000", BULLMQ, 2),
        *_against(sides, "drain, none kept", "drain-none", BULLMQ, 2),
        *_against(sides, "drain, two processes", "drain-two", BULLMQ, 2),
        *_against(sides, "drain, two processes: pgqueuer", "drain-two", "pgqueuer", 1),
        *_against(sides, "drain, appendfsync everysec", "drain-everysec", BULLMQ, None),
        *_against(sides, "drain, one job at a time", "drain-single", BULLMQ, 1),
    ]
    slow = sides.of("drain-10ms", "corral")
    if slow is not None:
        theirs = sides.of("drain-10ms", BULLMQ)
        named = "" if theirs is None else f"{rate(theirs)} {PEERS[BULLMQ].title}"
        lines.append(
            Line("drain, jobs of 10 ms, 100 slots", rate(slow), named, "", "≥ 9,000/s of 10,000", slow >= 9_000)
        )
    return lines


def _adding(sides: Sides) -> list[Line]:
    many, bulk = sides.of("add-concurrent", "corral"), sides.of("add-bulk", "corral")
    lines = [
        *_against(sides, "add, one by one: official Python BullMQ", "add-one", OFFICIAL, 1.3),
        *_against(sides, "add, one by one: BullMQ", "add-one", BULLMQ, 1),
        *_against(sides, f"add in bulk ({sides.choice('add-bulk', 'corral')} a call)", "add-bulk", BULLMQ, 3),
        *_against(sides, "add, 100 callers at once", "add-concurrent", BULLMQ, None),
    ]
    if many is not None and bulk is not None:
        share = many / bulk
        lines.append(Line("add, 100 callers: share of the bulk rate", f"{share:.2f}", "", "", "≥ 0.5", share >= 0.5))
    return lines


def _costs(sides: Sides) -> list[Line]:
    lines = []
    for number, what in (("server_us", "Redis processor time"), ("cpu_us", "client processor time")):
        adds, drains = (
            [sides.of(figure, side, number) for side in ("corral", BULLMQ)] for figure in ("add-bulk", "drain-all")
        )
        sums = [None if one is None or two is None else one + two for one, two in zip(adds, drains, strict=True)]
        lines += _at_most(f"{what} per job: add in bulk + claim + settle", sums, "µs")
        lines += _at_most(f"{what} per job: claim + settle", drains, "µs")
    return lines


def _latency(sides: Sides) -> list[Line]:
    return [
        line
        for part in ("p50", "p95", "p99")
        for line in _at_most(
            f"add to start, two processes, {part}", [sides.late(side, part) for side in ("corral", BULLMQ)], "ms"
        )
    ]


def _backlog(sides: Sides) -> list[Line]:
    few, many = (f"redis/backlog-{waiting}/{{}}/1" for waiting in WAITING)
    if many.format("corral") not in sides:
        return []
    lines = []
    for side, number, what, unit, most in (
        ("corral", "turn_us", "a turn of 100: time per job", "µs", 1.1),
        ("corral", "turn_server_us", "a turn of 100: Redis processor time per job", "µs", 1.1),
        ("corral", "claim_p50", "a lone claim, p50", "ms", 1.1),
        (BULLMQ, "claim_p50", "BullMQ: a lone claim, p50", "ms", None),
    ):
        one, other = sides(few.format(side), number), sides(many.format(side), number)
        ratio, shown = other / one, f"{one:.2f} / {other:.2f} {unit}"
        lines.append(
            Line(
                f"{what}: {WAITING[0]:,} / {WAITING[1]:,} waiting",
                shown if side == "corral" else "",
                "" if side == "corral" else shown,
                f"{ratio:.2f} ×",
                f"≤ {most:g} ×" if most else "",
                ratio <= most if most else None,
            )
        )
    sizes = [sides(many.format(side), "bytes") for side in ("corral", BULLMQ)]
    return [*lines, *_at_most(f"bytes per waiting job, {WAITING[1]:,} waiting", sizes, "")]


# -- everyone ----------------------------------------------------------------------------------------------------------

_HEAD = (
    "drain/s", "at", "client µs", "Redis µs", "two processes", "add one/s", "100 callers/s", "bulk/s", "10 ms × 100",
    "p50 ms", "p95", "p99",
)  # fmt: skip
_RATES = ("drain-two", "add-one", "add-concurrent", "add-bulk", "drain-10ms")
_DELAYS = ("p50", "p95", "p99")


def everyone(runs: Runs, versions: Mapping[str, str], on_files: Runs) -> list[str]:
    """All sides with all figures, the fastest drain first."""
    sides = Sides(runs)
    names = ["corral", *(name for name in PEERS if sides.case("drain-all", name))]
    listed = [(sides.of("drain-all", name) or 0.0, _row(sides, name, versions)) for name in names]
    if on_files:
        files = Figures(on_files)
        listed += [_row_of_file(files, side, versions) for side in ("ours", "theirs")]
    head = f"| | version | {' | '.join(_HEAD)} |"
    ordered = [row for _, row in sorted(listed, key=lambda entry: -entry[0])]
    return [head, "|---|---|" + "--:|" * len(_HEAD), *ordered]


def _row(sides: Sides, name: str, versions: Mapping[str, str]) -> str:
    return _line(
        PEERS[name].title if name in PEERS else "**corral (Redis)**",
        versions.get(name, ""),
        _cell(sides.of("drain-all", name)),
        sides.choice("drain-all", name),
        *(_cell(sides.of("drain-all", name, number), 1) for number in ("cpu_us", "server_us")),
        *(_cell(sides.of(figure, name)) for figure in _RATES),
        *(_cell(sides.late(name, part), 2) for part in _DELAYS),
    )


def _row_of_file(files: Figures, side: str, versions: Mapping[str, str]) -> tuple[float, str]:
    """A side of the SQLite part, for comparison: its keys have other names there."""
    choices = WORKERS if side == "theirs" else SLOTS
    case = files.best(f"drain/{side}", choices)
    rates = [f"{figure}/{side}" for figure in _RATES]
    across = f"latency-across/{side}" if side == "ours" else ""
    row = _line(
        "**corral (SQLite)**" if side == "ours" else "huey (SQLite)",
        versions["corral" if side == "ours" else "huey"],
        _cell(files(case, "per_second")),
        case.rpartition("/")[2],
        _cell(files(case, "cpu_us"), 1),
        "",
        *(_cell(files(key, "per_second") if key in files else None) for key in rates),
        *(_cell(files(across, part) if across in files else None, 2) for part in _DELAYS),
    )
    return files(case, "per_second"), row


def _cell(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def markdown(runs: Runs, versions: Mapping[str, str], on_files: Runs) -> list[str]:
    """What the page says about Redis."""
    return [
        "## On Redis, beside BullMQ and the Python queues",
        "",
        f"Each side at its best concurrency, Redis without persistence. {noise(runs)}",
        "",
        *rows(table(runs), "rival"),
        "",
        "Everyone. On Redis, completed jobs are kept by whoever keeps them by default; *at* is the concurrency that",
        "was best. Those on a SQLite file write each job to the disk, and corral keeps 1,000 there.",
        "",
        *everyone(runs, versions, on_files),
    ]


def noise(runs: Runs) -> str:
    """How far to trust it."""
    sides = Sides(runs)
    spreads = [
        f"{sides.spread(case, 'per_second')} ({name})"
        for name, case in ((name, sides.case("drain-all", name)) for name in ("corral", BULLMQ))
        if case
    ]
    return f"Slowest and fastest round of the drain: {' and '.join(spreads)} of the median." if spreads else ""
