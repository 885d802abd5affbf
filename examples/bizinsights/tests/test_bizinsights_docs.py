"""The page about the platform: its commands are run, in order, and its tables are true."""

import re
import shlex
import signal
from pathlib import Path

import pytest

from examples.bizinsights.build import make_platform
from examples.bizinsights.payloads import QueueName
from examples.bizinsights.queues import PLANS
from examples.bizinsights.schedules import HOURS
from examples.bizinsights.settings import Settings

from .test_bizinsights_worker import ROOT, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "guides" / "bizinsights.md").read_text(encoding="utf-8")
#: What a command says when it is up; the others end by themselves.
UP = {"worker": "Queue Worker is now running", "uvicorn": "Uvicorn running on"}
WORDS = {"every hour": 1, "daily": 24, "twice a day": 12}


def commands() -> list[list[str]]:
    """The commands of the page, as modules of this Python."""
    lines = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    found = []
    for line in lines:
        program, *arguments = shlex.split(line.removeprefix("$ "))
        found.append(
            {"python": arguments[1:], "corral": ["corral.cli", *arguments]}.get(program, [program, *arguments])
        )
    return found


@pytest.mark.mission("M-BI-41")
async def test_doctor_finds_a_paused_queue_with_a_job_and_ends_with_8(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'corral.db'}"
    made = make_platform(Settings(url=store, bizinsights_home=tmp_path / "home"))
    async with made.opened():
        mail = {"to": "user@example.com", "subject": "Hello", "template": "welcome", "data": {"name": "John"}}
        await made.queue_service.add_job(QueueName.EMAIL_SENDING, mail)
        await made.queue_service.pause_queue(QueueName.EMAIL_SENDING)
    async with running(tmp_path, "corral.cli", "doctor", "--url", store) as program:
        said, _ = await program.process.communicate()
    assert program.process.returncode == 8, said.decode()
    assert "email-sending is paused" in said.decode()


def table(title: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = [line for line in PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.mission("M-BI-10", "M-BI-41", "M-BI-55")
async def test_every_command_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    ended = []
    for command in commands():
        sign = next((text for word, text in UP.items() if word in command), None)
        free = [("0" if word == "3000" else word) for word in command]
        async with running(tmp_path, *free, CORRAL_APP="examples.bizinsights.app:app") as program:
            if sign is None:
                rest, _ = await program.process.communicate()
                ended.append((command[1:3], program.process.returncode, rest.decode()))
            else:
                await program.until(sign)
                assert await program.stop() in (0, -signal.SIGTERM)

    assert [(words, code) for words, code, _ in ended] == [
        ([], 0), (["schedules", "list"], 0), (["stats"], 0), (["jobs", "list"], 0), (["doctor"], 0),
    ]  # fmt: skip
    assert "sync-acme-shopify" in ended[1][2]
    assert "data-sync" in ended[2][2]


@pytest.mark.mission("M-BI-42", "M-BI-43")
def test_the_table_of_queues_is_that_of_the_code() -> None:
    seconds = {"s": 1, "min": 60}
    told = {}
    for name, _, slots, limit in table("Queues"):
        number, unit = limit.split()
        told[QueueName(name.strip("`"))] = (int(slots.split(",")[0]), int(number) * seconds[unit])

    assert told == {name: (plan.concurrency, plan.timeout) for name, plan in PLANS.items()}


@pytest.mark.mission("M-BI-14", "M-BI-47")
def test_the_table_of_plans_is_that_of_the_code() -> None:
    told = {}
    for names, *plans in table("Schedules")[:-1]:
        hours = [WORDS.get(text) or int(re.findall(r"\d+", text)[0]) for text in plans]
        for name in names.split(", "):
            told[name.lower().replace(" ", "-")] = dict(zip(("starter", "growth", "enterprise"), hours, strict=True))

    assert told == HOURS


def test_every_setting_of_the_platform_is_named() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", "".join(cells[0] for cells in table("Settings"))))
    own = {name.upper() for name in Settings.model_fields} - {"URL", "MAIL_DIR"} | {"CORRAL_URL"}

    assert own <= named
    example = (ROOT / "examples" / "bizinsights" / ".env.example").read_text()
    assert [name for name in sorted(named) if name not in example] == []
