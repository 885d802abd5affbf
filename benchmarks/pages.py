"""The files in `results/`: every single run as JSON, and one page. A section that was not run keeps its place there."""

from datetime import UTC, datetime
from json import dumps, loads
from pathlib import Path

from msgspec import Struct, convert, to_builtins

from benchmarks import report, report_redis, report_web
from benchmarks.case import ROOT
from benchmarks.measure import Numbers
from benchmarks.plan import plan

RESULTS = Path(__file__).parent / "results"
_INTRODUCTION = (
    "Medians of interleaved rounds. Only ratios within one run say anything about another machine; the `README.md`\n"
    "beside this folder tells how each figure is made."
)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Section(Struct):
    """One part of a run, on one store."""

    runs: dict[str, list[Numbers]]  #: per case, the figures of each round
    machine: dict[str, str]
    rounds: int
    medians: dict[str, Numbers] = {}
    at: str = ""


def write(name: str, section: Section, *, quick: bool) -> None:
    """Print a section's table, and write it beside what the files hold of the others."""
    figures = report.Figures(section.runs)
    section.medians = {key: {figure: figures(key, figure) for figure in of[0]} for key, of in section.runs.items()}
    section.at = _now()
    sections = {**read(quick=quick), name: section}
    print(f"\n{report.plain(_table(name, section, quick=quick))}\n")
    RESULTS.mkdir(exist_ok=True)
    path = _path(quick=quick)
    path.with_suffix(".json").write_text(dumps(to_builtins(sections), indent=1) + "\n")
    path.with_suffix(".md").write_text(page(sections, quick=quick))
    print(f"written: {path.relative_to(ROOT)}.json and .md")


def _table(name: str, section: Section, *, quick: bool) -> list[report.Line]:
    if name == "redis":
        return report_redis.table(section.runs)
    if name == "web":
        return report_web.table(section.runs, quick=quick)
    return report.table(section.runs, _backlog(quick=quick))


def read(*, quick: bool) -> dict[str, Section]:
    """What the last runs left."""
    path = _path(quick=quick).with_suffix(".json")
    return convert(loads(path.read_text()), dict[str, Section]) if path.exists() else {}


def page(sections: dict[str, Section], *, quick: bool) -> str:
    """The whole page."""
    lines = ["# Figures", "", _INTRODUCTION]
    for name in ("redis", "sqlite", "web"):
        if name in sections:
            section = sections[name]
            about = " · ".join(f"{key} {value}" for key, value in section.machine.items())
            if name == "redis":
                on_files = sections["sqlite"].runs if "sqlite" in sections else {}
                body = report_redis.markdown(section.runs, section.machine, on_files)
            elif name == "web":
                body = report_web.markdown(section.runs, quick=quick)
            else:
                body = report.markdown(section.runs, _backlog(quick=quick))
            lines += ["", *body, "", f"{section.at}, {section.rounds} rounds. {about}"]
    return "\n".join([*lines, ""])


def _path(*, quick: bool) -> Path:
    return RESULTS / ("quick" if quick else "latest")


def _backlog(*, quick: bool) -> int:
    """How many jobs waited in the case that is called full."""
    return int(next(case.parameters["waiting"] for case in plan(quick) if case.key == "backlog/full"))
