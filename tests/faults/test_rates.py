"""Limits under real workers, for a few seconds each; `make torture-rates` takes a minute and looks at fairness too."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_four_worker_processes_never_start_more_than_the_limits_allow(engine: str) -> None:
    command = [sys.executable, "-m", "tests.faults.rates", "--engine", engine, "--seconds", "3"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    tally = json.loads(run.stdout)
    assert tally["violations"] == []
    assert tally["most"]["queue 1 s"] >= 100
    assert tally["started"]["group"] >= 7
    assert tally["started"]["name"] >= 5
