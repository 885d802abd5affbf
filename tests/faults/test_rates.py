"""Limits under real workers, for a few seconds each; `make torture-rates` takes a minute and looks at fairness too."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow  # windows last for seconds
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_four_worker_processes_never_start_more_than_the_limits_allow(engine: str) -> None:
    command = [sys.executable, "-m", "tests.faults.rates", "--engine", engine, "--seconds", "3", "--until-full"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    tally = json.loads(run.stdout)
    assert tally["violations"] == []
    most = tally["most"]
    assert (most["queue 1 s"] >= 20, most["queue 10 s"] >= 150, most["group"] >= 7, most["name"] >= 5) == (True,) * 4
