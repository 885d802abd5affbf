"""`python -m benchmarks [--quick] [--rounds N] [--section NAME] [--only PREFIX]`: run, print, write `results/`."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import plan, plan_redis, plan_web
from benchmarks.case import ROOT, command
from benchmarks.catalogue import BOARD
from benchmarks.environments import prepare
from benchmarks.machine import busy, machine, servers
from benchmarks.measure import Numbers
from benchmarks.pages import Section, write
from benchmarks.plan import Case
from benchmarks.servers import serve

#: A measurement that hangs must not hang the run.
CASE_SECONDS = 900
SECTIONS = ("sqlite", "redis", "web")


def main() -> None:
    """Run the plan in rounds and report."""
    arguments = _arguments()
    facts = machine(Path(tempfile.gettempdir()))
    if busy():
        print(f"warning: the load is {facts['load before']} already; expect noise", file=sys.stderr)
    began = time.monotonic()
    for name in arguments.section:
        cases = [case for case in _plan(name, quick=arguments.quick) if case.key.startswith(arguments.only)]
        if not cases:
            continue
        about = dict(facts)
        if name == "redis":
            about |= _ready_for_redis(quick=arguments.quick, fresh=arguments.fresh)
        elif name == "web":
            prepare([BOARD.environment], fresh=arguments.fresh)
            about |= {**servers(), BOARD.title: BOARD.environment.version()}
        runs = _rounds(cases, arguments.rounds)
        if not arguments.only:
            write(name, Section(runs, about, arguments.rounds), quick=arguments.quick)
    print(f"\n{time.monotonic() - began:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="corral beside its rivals, in one run")
    parser.add_argument("--quick", action="store_true", help="fewer jobs and rivals: under three minutes, noisier")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are taken over them")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="one part; the page keeps the others")
    parser.add_argument("--only", default="", metavar="PREFIX", help="only cases whose key begins so; writes nothing")
    parser.add_argument("--fresh", action="store_true", help="install the newest releases of the rivals again")
    arguments = parser.parse_args()
    arguments.section = arguments.section or SECTIONS
    return arguments


def _plan(section: str, *, quick: bool) -> list[Case]:
    plans = {"sqlite": plan.plan, "redis": plan_redis.plan, "web": plan_web.plan}
    return plans[section](quick)


def _ready_for_redis(*, quick: bool, fresh: bool) -> dict[str, str]:
    """Install the rivals. Answers the versions of everything."""
    peers = plan_redis.peers(quick)
    prepare([peer.environment for peer in peers], fresh=fresh)
    return {**servers(), **{peer.name: peer.environment.version() for peer in peers}}


def _rounds(cases: list[Case], rounds: int) -> dict[str, list[Numbers]]:
    runs: dict[str, list[Numbers]] = {case.key: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            if case.once and number:
                continue
            began = time.monotonic()
            figures = _run(case)
            runs[case.key].append(figures)
            shown = "  ".join(f"{key} {value:,.2f}" for key, value in figures.items())
            spent = time.monotonic() - began
            print(f"round {number + 1}/{rounds}  {case.key:<32} {spent:5.1f} s  {shown}", flush=True)
    return runs


def _run(case: Case) -> Numbers:
    """One case in a fresh process, a fresh folder and a fresh server. Raises: SystemExit with what it said."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as folder, serve(case.store) as server:
        place = {"folder": folder, "url": server.url, "server": server.pid} if case.store else {"folder": folder}
        answer = subprocess.run(
            command(case.side, case.function, {**place, **case.parameters}), cwd=ROOT, capture_output=True,
            text=True, timeout=CASE_SECONDS, check=False,
        )  # fmt: skip
    if answer.returncode or not answer.stdout:
        raise SystemExit(f"{case.key} failed:\n{answer.stdout}{answer.stderr}")
    figures: Numbers = json.loads(answer.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
