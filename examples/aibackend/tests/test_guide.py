"""The guide about the platform, taken at its word: its commands are run, its tables are true."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from corral import Cron
from examples.aibackend.build import make_app
from examples.aibackend.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "guides" / "aibackend.md").read_text(encoding="utf-8")
README = (ROOT / "examples" / "aibackend" / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for line in "".join(blocks).splitlines()]


def run(line: str, folder: Path) -> str:
    program, *arguments = shlex.split(line)
    module = {"corral": ["-m", "corral.cli"], "python": []}[program]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, *module, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, line + done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow  # four programs start, one after the other
@pytest.mark.timeout(500)
def test_the_commands_add_a_job_run_it_and_show_it(tmp_path: Path) -> None:
    said = [run(line, tmp_path) for line in commands(section("Queues and jobs"))]
    assert len(said) == 4
    assert "generate-completion" in said[2]
    assert "completed" in said[2]
    assert "ai-tasks" in said[3]


def test_the_seed_can_be_run(tmp_path: Path) -> None:
    [line] = [line for line in commands(README) if line.startswith("python")]
    assert "4 people and 4 conversations are there" in run(line, tmp_path)


def test_the_queues_and_jobs_of_the_guide_are_those_of_the_application(tmp_path: Path) -> None:
    app = make_app(Settings(url="sqlite:///:memory:", aibackend_home=tmp_path))
    rows = [line.split("|")[1:3] for line in section("Queues and jobs").splitlines() if line.startswith("| `")]
    told = {re.findall(r"`(\S+)`", queue)[0]: set(re.findall(r"`([^`]+)`", jobs)) for queue, jobs in rows}
    assert told == {name: set(queue.definitions) for name, queue in app.queues.items()}


def test_the_schedules_of_the_guide_are_those_of_the_application(tmp_path: Path) -> None:
    app = make_app(Settings(url="sqlite:///:memory:", aibackend_home=tmp_path))
    rows = [line.split("|")[1:3] for line in section("What repeats").splitlines() if line.startswith("| `")]
    told = {name: when for names, whens in rows for name, when in zip(names.split(","), whens.split(","), strict=False)}
    told = {name.strip(" `"): when.strip(" `") for name, when in told.items()}
    declared = {one.key: one.timing for one in app.schedules.declared()}
    assert set(told) == set(declared)
    crons = {key: timing.expression for key, timing in declared.items() if isinstance(timing, Cron)}
    assert {key: told[key] for key in crons} == crons


def test_every_setting_is_in_the_example_of_the_environment() -> None:
    example = (ROOT / "examples" / "aibackend" / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE))
    names = {"CORRAL_URL" if name == "url" else name.upper() for name in Settings.model_fields}
    assert names <= named
