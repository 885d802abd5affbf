"""`python -m benchmarks [--quick] [--rounds N] [--only PREFIX]`: run everything, print the ratios, write `results/`."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.case import ROOT, command
from benchmarks.machine import busy, machine
from benchmarks.measure import Numbers
from benchmarks.plan import Case, plan
from benchmarks.report import Figures, markdown, plain, table

RESULTS = Path(__file__).parent / "results"
#: A measurement that hangs must not hang the run.
CASE_SECONDS = 900


def main() -> None:
    """Run the plan in rounds and report."""
    arguments = _arguments()
    cases = [case for case in plan(arguments.quick) if case.key.startswith(arguments.only)]
    facts = machine(Path(tempfile.gettempdir()))
    if busy():
        print(f"warning: the load is {facts['load before']} already; expect noise", file=sys.stderr)
    runs: dict[str, list[Numbers]] = {case.key: [] for case in cases}
    began = time.monotonic()
    for number in range(arguments.rounds):
        for case in cases:
            if case.once and number:
                continue
            figures = _run(case)
            runs[case.key].append(figures)
            shown = "  ".join(f"{key} {value:,.2f}" for key, value in figures.items())
            print(f"round {number + 1}/{arguments.rounds}  {case.key:<22} {shown}", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s\n")
    if arguments.only:
        return
    _report(runs, facts, arguments.rounds, quick=arguments.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="corral beside huey, in the same run")
    parser.add_argument("--quick", action="store_true", help="fewer jobs: about two minutes, noisier")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are taken over them")
    parser.add_argument("--only", default="", metavar="PREFIX", help="only cases whose key begins so; writes nothing")
    return parser.parse_args()


def _run(case: Case) -> Numbers:
    """One case in a fresh process and a fresh folder. Raises: SystemExit with what it said when it failed."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as folder:
        answer = subprocess.run(
            command(case.side, case.function, {"folder": folder, **case.parameters}), cwd=ROOT, capture_output=True,
            text=True, timeout=CASE_SECONDS, check=False,
        )  # fmt: skip
    if answer.returncode or not answer.stdout:
        raise SystemExit(f"{case.key} failed:\n{answer.stdout}{answer.stderr}")
    figures: Numbers = json.loads(answer.stdout.splitlines()[-1])
    return figures


def _report(runs: dict[str, list[Numbers]], facts: dict[str, str], rounds: int, *, quick: bool) -> None:
    backlog = next(case.parameters["waiting"] for case in plan(quick) if case.key == "backlog/full")
    lines = table(runs, int(backlog))
    figures = Figures(runs)
    noise = (
        f"Slowest and fastest round of the drain: {figures.spread('drain/ours/100', 'per_second')} (corral) and "
        f"{figures.spread('drain/theirs/4', 'per_second')} (huey) of the median."
    )
    print(plain(lines))
    print(f"\n{noise}")
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    name = "quick" if quick else "latest"
    medians = {key: {figure: figures(key, figure) for figure in of[0]} for key, of in runs.items()}
    record = {
        "at": now.isoformat(timespec="seconds"),
        "machine": facts,
        "rounds": rounds,
        "medians": medians,
        "runs": runs,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(markdown(lines, facts, rounds, noise))
    print(f"\nwritten: {(RESULTS / name).relative_to(ROOT)}.json and .md")


if __name__ == "__main__":
    main()
