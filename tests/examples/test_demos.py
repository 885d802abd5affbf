"""`make demo ONCE=1` for each platform on each engine: a process of its own, which ends by itself and loses nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.stage import platforms

# A retry takes the seconds it takes, and there are several platforms.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("platform", platforms())
def test_the_demo_ends_by_itself_and_loses_nothing(platform: str, platform_url: str, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CORRAL_URL": platform_url,
    }
    command = [sys.executable, "-m", "examples.demo", platform, "--once", "--plain", "--burst", "20"]
    run = subprocess.run(
        [*command, "--dir", "files"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, ""), run.stdout[-3000:] + run.stderr[-3000:]
    last = run.stdout.splitlines()[-1]
    said = re.fullmatch(r"demo: (\d+) completed, \d+ retried, \d+ failed as intended, 0 lost", last)
    assert said is not None, last
    assert int(said[1]) > 0
