"""The guide about the platform, taken at its word: its commands are run, its tables are true."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest

from corral import Cron
from examples.aibackend.build import make_app
from examples.aibackend.settings import Settings
from examples.bizinsights.tests.test_bizinsights_worker import running

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


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_the_api_is_served_and_asked_as_the_guide_has_it(tmp_path: Path) -> None:
    serve, ask = (shlex.split(line) for line in commands(section("Endpoints")))
    secret = "a-secret-of-the-tests-with-more-than-32-bytes"  # of nothing
    free = ["0" if word == "8000" else word for word in serve]
    async with running(tmp_path, *free, JWT_SECRET=secret) as server:
        line = await server.until("Uvicorn running on ")
        url = urlsplit(ask[-1])._replace(netloc=urlsplit(line.partition("running on ")[2].split()[0]).netloc).geturl()
        assert ask[:2] == ["curl", "-H"]
        name, _, value = ask[2].partition(": ")
        claims = {"sub": "user-1", "roles": ["USER"], "exp": time.time() + 300}
        header = {name: value.replace("<token>", jwt.encode(claims, secret, algorithm="HS256"))}
        async with httpx2.AsyncClient(timeout=30) as client:
            assert (await client.get(url)).status_code == 401
            answer = await client.get(url, headers=header)
            assert (answer.status_code, answer.json()["message"]) == (404, "Job not found")
        assert await server.stop() in (0, -signal.SIGTERM)


def test_the_seed_can_be_run(tmp_path: Path) -> None:
    [line] = [line for line in commands(README) if line.startswith("python -m examples.")]
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
