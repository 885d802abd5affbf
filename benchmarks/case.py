"""One measurement in a process of its own: `python -m benchmarks.case ours drain '{"folder": …}'`."""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def command(side: str, name: str, parameters: Mapping[str, object]) -> list[str]:
    """The command line of a measurement."""
    return [sys.executable, "-m", "benchmarks.case", side, name, json.dumps(parameters)]


def main(side: str, name: str, parameters: str) -> None:
    """Run it and print its figures as the last line."""
    measurement = getattr(importlib.import_module(f"benchmarks.{side}"), name)
    figures = measurement(**json.loads(parameters))
    if figures:
        print(json.dumps(figures), flush=True)
    sys.stdout.flush()
    os._exit(0)  # huey's threads are not asked to end, and nothing here needs a tidy exit


if __name__ == "__main__":
    main(*sys.argv[1:])
