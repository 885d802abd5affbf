"""The page about the platform: its commands are run, in order, its requests are sent, its payloads are taken."""

import json
import re
import shlex
import signal
import time
from pathlib import Path

import httpx
import jwt
import pytest

from corral import Cron
from examples.bizinsights.tests.test_bizinsights_worker import ROOT, running
from examples.teamspark.build import make_app
from examples.teamspark.settings import Settings

PAGE = (ROOT / "docs" / "guides" / "teamspark.md").read_text(encoding="utf-8")
#: What a command says when it is up; the others end by themselves.
UP = {"worker": "Queue Worker is now running", "uvicorn": "Uvicorn running on"}
SECRET = "a-secret-of-this-test-with-more-than-32-bytes"  # of this test alone


def commands() -> list[list[str]]:
    """The commands of the page."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for block in blocks for line in block.splitlines()]


@pytest.mark.slow  # an interpreter for each command
@pytest.mark.timeout(600)
@pytest.mark.mission("M-TS-14", "M-TS-15", "M-TS-28", "M-TS-36", "M-TS-61")
async def test_every_command_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    address, ended, up = "", {}, []
    claims = {"sub": "ann", "roles": ["viewer"], "exp": time.time() + 600}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    served = [words for words in commands() if words[0] != "curl"]
    [curl] = [words for words in commands() if words[0] == "curl"]
    for program, *arguments in served:
        words = ["corral.cli", *arguments] if program == "corral" else [program, *arguments]
        free = ["0" if word == "3000" else word for word in words]
        variables = {"CORRAL_APP": "examples.teamspark.app:app", "JWT_SECRET": SECRET}
        async with running(tmp_path, *free, **variables) as started:
            sign = next((text for word, text in UP.items() if word in free), None)
            if sign is None:
                said, _ = await started.process.communicate()
                ended[" ".join(arguments)] = (started.process.returncode, said.decode())
                continue
            line = await started.until(sign)
            up.append(program)
            if program == "uvicorn":
                address = re.findall(r"http://\S+", line)[0]
                _, _, header, url = curl
                name, _, value = header.replace("<token>", token).partition(": ")
                async with httpx.AsyncClient() as client:
                    answer = await client.get(address + url.partition(":3000")[2], headers={name: value})
                assert (answer.status_code, len(answer.json()["metrics"])) == (200, 7)
            assert await started.stop() in (0, -signal.SIGTERM)

    assert up == ["corral", "corral", "uvicorn"]
    doctor = ended.pop("doctor")  # ends with 1 when it found something: here, that no worker runs
    assert doctor[0] in (0, 1), doctor[1]
    assert {words: code for words, (code, _) in ended.items()} == dict.fromkeys(ended, 0), ended
    assert "send-email: waiting=0" in ended["jobs clean"][1]


@pytest.mark.mission("M-TS-38", "M-TS-39", "M-TS-40", "M-TS-41", "M-TS-42")
def test_the_payloads_of_the_page_are_taken(tmp_path: Path) -> None:
    app = make_app(Settings(url=f"sqlite:///{tmp_path}/corral.db", teamspark_home=tmp_path))
    section = PAGE.split("\n## Job types\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)`[^|]*\| `({.*?})`(?:;| \|)", section, re.MULTILINE)
    taken = []
    for name, payload in rows:
        [definition, *_] = [queue.definitions[name] for queue in app.queues.values() if name in queue.definitions]
        data = json.loads(payload)
        assert json.loads(definition.new(data).data).items() >= data.items()
        taken.append(definition.queue)
    assert sorted(taken) == sorted(app.queues)


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"deploy/[\w.@-]+\.(?:json|yaml|md)", PAGE)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.mission("M-TS-24", "M-TS-25", "M-TS-26")
@pytest.mark.parametrize(
    ("key", "queue", "name", "pattern", "data"),
    [
        (
            "daily-engagement-metrics", "calculate-metrics", "engagement-metrics", "0 1 * * *",
            {"organizationId": "org-123", "metricType": "engagement", "period": "daily"},
        ),
        (
            "weekly-team-reports", "generate-report", "weekly-report", "0 9 * * 1",
            {"organizationId": "org-123", "reportType": "weekly", "recipientIds": ["user-1", "user-2"]},
        ),
    ],
)  # fmt: skip
def test_the_schedules_have_these_lines(
    tmp_path: Path, key: str, queue: str, name: str, pattern: str, data: dict[str, object]
) -> None:
    app = make_app(Settings(url=f"sqlite:///{tmp_path}/corral.db", teamspark_home=tmp_path))
    [line] = [item for item in app.schedules.declared() if item.key == key]
    assert (line.queue, line.name, line.timing) == (queue, name, Cron(pattern))
    assert json.loads(line.data).items() >= data.items()
