"""Where the lines of `corral worker` go: M-TS-16."""

import subprocess
import sys
from pathlib import Path

import pytest

from corral.job import NewJob

from .helpers import MAILER, PATIENCE, put, surroundings

pytestmark = pytest.mark.slow  # it starts an interpreter


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_logs_go_to_stdout_and_nothing_to_stderr(folder: Path, url: str) -> None:
    put(url, NewJob(queue="send-email", name="add-another"))
    words = ["worker", MAILER, "--url", url, "--burst", "--log-format", "guide"]
    done = subprocess.run(
        [sys.executable, "-m", "corral.cli", *words], cwd=folder, env=surroundings(), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Job added to queue queue=send-email jobId=2" in done.stdout
