"""The command: `python -m tests.load --engine redis --seconds 300`."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import msgspec

from examples.demo.stage import platforms
from tests.redis_server import RedisServer, with_prefix

from .crew import in_turn, together
from .plan import Plan, Verdict


def measure(engine: str, chosen: list[str], plan: Plan, folder: Path) -> list[Verdict]:
    """All at once on one server, or each on a file of its own."""
    if engine == "sqlite":
        return asyncio.run(in_turn(chosen, lambda one: f"sqlite:///{folder / one / 'corral.db'}", folder, plan))
    with RedisServer() as server:
        return asyncio.run(together(chosen, lambda one: with_prefix(server.url, one), folder, plan))


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("platforms", nargs="*", help="all of them when none is named")
    parser.add_argument("--engine", choices=("sqlite", "redis"), default="redis")
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corral-load-") as folder:
        plan = Plan.lasting(given.seconds)
        verdicts = measure(given.engine, given.platforms or platforms(), plan, Path(folder))
    for verdict in verdicts:
        print(json.dumps({"engine": given.engine, **msgspec.to_builtins(verdict)}))
    return 1 if any(verdict.problems for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
