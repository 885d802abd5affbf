"""The platform's guide, taken at its word: its Python runs in order, its requests are sent, its commands are run."""

import ast
import contextlib
import importlib
import inspect
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import jwt
import pytest
from pydantic import SecretStr

from examples.bizinsights.tests.test_bizinsights_worker import running
from examples.golive.api import make_api
from examples.golive.queues import QUEUES
from examples.golive.schedules import SCHEDULES
from examples.golive.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "guides" / "golive.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REQUESTS = re.findall(r"^\| `(GET|POST) (/\S+)` \|", PAGE, re.MULTILINE)
COMMANDS = [line.removeprefix("$ ") for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()]  # fmt: skip
SERVERS = [line for line in COMMANDS if line.startswith("uvicorn ")]
SECRET = "a-secret-of-this-test-with-more-than-32-bytes"  # of this test alone


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a section."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    table = section.partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """What the guide's Python has defined so far, on a fresh application."""
    monkeypatch.setenv("CORRAL_URL", f"sqlite:///{tmp_path / 'corral.db'}")
    sys.modules.pop("examples.golive.app", None)
    return {"__name__": "guide"}


async def run(block: str, names: dict[str, object]) -> str:
    """Run a block, which may await; answers what it printed."""
    code = compile(block, "golive.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        outcome = eval(code, names)  # the guide's own code
        if inspect.iscoroutine(outcome):
            await outcome
    return said.getvalue()


async def test_the_python_runs_in_order_and_the_requests_are_answered(names: dict[str, object]) -> None:
    said = [await run(PYTHON[0], names)]
    app = importlib.import_module("examples.golive.app").app
    async with app:
        said += [await run(block, names) for block in PYTHON[1:]]
        api = make_api(app, Settings(jwt_secret=SecretStr(SECRET)))
        claims = {"sub": "ann", "role": "ADMIN", "exp": time.time() + 300}
        headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://golive", headers=headers) as client:
            for verb, path in REQUESTS:
                body = {"grace": 604_800_000, "status": "completed"} if path.endswith("clean") else None
                answer = await client.request(verb, path, json=body)
                wanted = 409 if path.endswith("retry") else 200  # that job waits: it has not failed
                assert answer.status_code == wanted, (path, answer.text)
    sys.modules.pop("examples.golive.app", None)

    assert "Job added: 1\n" in said
    assert len(PYTHON) == 11
    assert len(REQUESTS) == 7


@pytest.mark.slow  # five interpreters, one after the other
@pytest.mark.timeout(400)
def test_the_commands_end_well(tmp_path: Path) -> None:
    programs = {"python": [sys.executable], "corral": [sys.executable, "-m", "corral.cli"]}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    outputs = []
    for line in [line for line in COMMANDS if line not in SERVERS]:
        program, *arguments = shlex.split(line)
        done = subprocess.run(
            [*programs[program], *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=110, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)

    assert "pipeline runs" in outputs[0]
    assert (tmp_path / "golive-data" / "golive.db").exists()
    assert "expired-tokens" in outputs[3]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_server_starts_and_stops(tmp_path: Path) -> None:
    [line] = SERVERS
    async with running(tmp_path, *shlex.split(line), "--port", "0", JWT_SECRET=SECRET) as server:
        said = await server.until("Uvicorn running on")
        async with httpx.AsyncClient(base_url=re.findall(r"http://\S+", said)[0]) as client:
            assert (await client.get("/api/v1/jobs/queues")).status_code == 401
        assert await server.stop() in (0, -signal.SIGTERM)


def test_the_table_of_queues_is_the_codes() -> None:
    assert [(name, int(slots), priority) for name, _, slots, priority in rows("Queues")] == [
        (name.value, row.concurrency, row.priority.name) for name, row in QUEUES.items()
    ]


def test_the_table_of_schedules_is_the_codes() -> None:
    assert {row[0] for row in rows("Schedules")} == set(SCHEDULES)
