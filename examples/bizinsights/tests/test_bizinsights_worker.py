"""The platform as it is started: the worker's lines, its figures, its end; the API; PM2's table of both."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from corral.http import ApiSettings
from examples.bizinsights.api import make_api
from examples.bizinsights.build import Platform
from examples.bizinsights.payloads import QueueName

from .conftest import Maker, token

# A worker is a process of its own, and this machine may be busy with others.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[3]
READY = "Queue Worker is now running"
MAIL = {"to": "user@example.com", "subject": "Hello", "template": "welcome", "data": {"name": "John"}}


class Program:
    """A running command, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, text: str) -> str:
        """Read on to the line that has this text."""
        assert self.process.stdout is not None
        async with asyncio.timeout(150):
            while line := (await self.process.stdout.readline()).decode().rstrip():
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError(f"it ended without {text!r}:\n" + "\n".join(self.lines))

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop; answers its exit code."""
        self.process.send_signal(how)
        rest, _ = await asyncio.wait_for(self.process.communicate(), 150)
        self.lines += rest.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running(folder: Path, *command: str, **variables: str) -> AsyncIterator[Program]:
    """A command of the platform, as its operator types it."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1", **variables,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


WORKER = ("corral.cli", "worker", "examples.bizinsights.app:app", "--log-format", "guide")


@pytest.mark.mission("M-BI-49", "M-BI-50", "M-BI-51", "M-BI-05", "M-BI-07", "M-BI-10", "M-BI-55")
async def test_the_worker_says_that_it_runs_works_tells_its_figures_and_ends(
    maker: Maker, platform_url: str, tmp_path: Path
) -> None:
    made = maker()
    async with made.opened():
        handle = await made.queue_service.add_job(QueueName.EMAIL_SENDING, MAIL)
        async with running(
            tmp_path, *WORKER, "--stats-interval", "1s", CORRAL_URL=platform_url, BIZINSIGHTS_HOME=str(made.home)
        ) as worker:
            await worker.until(READY)
            await worker.until("Email sent successfully")
            figures = await worker.until("email-sending waiting=0 active=0")
            assert await handle.result(timeout=30)
            assert await worker.stop() == 0
    said = "\n".join(worker.lines)
    assert [name for name in QueueName if name not in figures] == []
    assert f"Processing email job jobId={handle.id} to=user@example.com" in said
    assert "worker stopped" in said


@pytest.mark.mission("M-BI-50")
def test_figures_come_every_thirty_seconds() -> None:
    settings = (ROOT / "examples" / "bizinsights" / "corral.toml").read_text()

    assert 'stats_interval = "30s"' in settings


@pytest.mark.mission("M-BI-08")
async def test_nothing_has_to_be_installed_or_started_for_sqlite(tmp_path: Path) -> None:
    async with running(tmp_path, *WORKER) as worker:
        await worker.until(READY)
        assert await worker.stop(signal.SIGINT) == 0
    assert sorted(os.listdir(tmp_path)) == ["bizinsights-data", "corral.db"]
    assert (tmp_path / "bizinsights-data" / "bizinsights.db").exists()


@pytest.mark.mission("M-BI-09")
async def test_settings_come_from_the_file_env(maker: Maker, platform_url: str, tmp_path: Path) -> None:
    name = "REDIS_URL" if platform_url.startswith("redis") else "CORRAL_URL"
    (tmp_path / ".env").write_text(
        f'{name}="{platform_url}"\nRESEND_API_KEY=""\nEMAIL_FROM="Biz Figures <figures@biz.example>"\n'
    )
    made = maker()
    async with made.opened():
        handle = await made.queue_service.add_job(QueueName.EMAIL_SENDING, MAIL)
        async with running(tmp_path, *WORKER, BIZINSIGHTS_HOME=str(made.home)) as worker:
            await worker.until("Email sent successfully")
            assert await worker.stop() == 0
        assert (await handle.get()).state == "completed"
    (mail,) = (made.home / "mail").glob("*.eml")  # without a key of Resend's it became a file
    assert "From: Biz Figures <figures@biz.example>" in mail.read_text()


@pytest.mark.mission("M-BI-09", "M-BI-37")
async def test_a_redis_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, *WORKER, REDIS_URL="redis://127.0.0.1:1") as worker:
        line = await worker.until("127.0.0.1:1")
    assert line


@pytest.mark.mission("M-BI-10", "M-BI-06")
async def test_the_api_is_served_for_everybody_who_has_a_token(tmp_path: Path) -> None:
    secret = "a-secret-of-the-tests-with-more-than-32-bytes"  # of nothing
    command = ("uvicorn", "examples.bizinsights.api:api", "--port", "0")
    async with running(tmp_path, *command, JWT_SECRET=secret) as server:
        line = await server.until("Uvicorn running on ")
        url = line.partition("running on ")[2].split()[0]
        async with httpx.AsyncClient(base_url=url, headers=token("ADMIN")) as client:
            assert (await client.get("/api/jobs/monitoring")).json()["success"] is True
            assert (await client.get("/api/jobs/monitoring", headers={"Authorization": ""})).status_code == 401
        assert await server.stop() in (0, -signal.SIGTERM)  # uvicorn ends as it was told to


@pytest.mark.mission("M-BI-10")
async def test_there_is_a_worker_for_development(tmp_path: Path) -> None:
    async with running(tmp_path, *WORKER, "--reload") as worker:
        await worker.until(READY)
        assert await worker.stop() == 0


@pytest.mark.mission("M-BI-11", "M-BI-55")
def test_pm2_starts_the_application_and_the_worker() -> None:
    table = json.loads((ROOT / "examples" / "bizinsights" / "ecosystem.config.json").read_text())
    apps = {app["name"]: app for app in table["apps"]}

    assert set(apps) == {"bizinsights-app", "bizinsights-worker"}
    for app in apps.values():
        assert (app["interpreter"], app["exec_mode"], app["merge_logs"]) == ("none", "fork", True)
    worker = shlex.split(apps["bizinsights-worker"]["args"])
    assert worker[:2] == ["worker", "bizinsights.app:app"]
    assert worker[worker.index("--stats-interval") + 1] == "30s"
    # A worker that is told to stop lets its jobs end: PM2 must not kill it before, nor start a broken command again.
    assert apps["bizinsights-worker"]["kill_timeout"] > 30_000
    assert apps["bizinsights-worker"]["stop_exit_codes"] == [0, 2]


@pytest.mark.mission("M-BI-11")
async def test_what_pm2_starts_runs_in_a_copy_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bizinsights"
    shutil.copytree(ROOT / "examples" / "bizinsights", folder, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    up = {"bizinsights-app": "Uvicorn running on", "bizinsights-worker": READY}
    for app in json.loads((folder / "ecosystem.config.json").read_text())["apps"]:
        program = {"uvicorn": "uvicorn", "corral": "corral.cli"}[Path(app["script"]).name]
        arguments = ["0" if word == "3000" else word for word in shlex.split(app["args"])]
        path = f"{ROOT / 'src'}{os.pathsep}{tmp_path}"  # as if it had been installed
        async with running(folder, program, *arguments, **{**app["env"], "PYTHONPATH": path}) as started:
            await started.until(up[app["name"]])
            assert await started.stop() in (0, -signal.SIGTERM)


@pytest.mark.mission("M-BI-10")
async def test_the_seed_makes_something_to_look_at(tmp_path: Path, maker: Callable[..., Platform]) -> None:
    async with running(tmp_path, "examples.bizinsights.seed") as program:
        line = await program.until("figures of 2 organizations")
    assert line.startswith("1,500 figures of 2 organizations, 6 integrations, 8 schedules in ")


def test_the_api_needs_no_more_than_its_settings(maker: Maker) -> None:
    made = maker()

    assert made.settings.jwt_secret is not None
    assert ApiSettings(jwt_secret=made.settings.jwt_secret).jwt_secret is not None
    assert make_api(made.app, made.settings).title == "BizInsights"
