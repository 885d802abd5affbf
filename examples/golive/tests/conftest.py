"""The platform on an empty store of each engine, its files in a folder of the test's own."""

import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from corral.compat import BullJob
from corral.handlers.email import EmailSettings
from corral.handlers.pipelines import PipelineSettings, Tools
from corral.testing import FakeClock, drain
from corral.testing.app import lent
from examples.golive.build import Platform, make_platform
from examples.golive.queues import QueueName
from examples.golive.seed import seed
from examples.golive.service import JobQueueManager
from examples.golive.settings import Settings

#: A Thursday, at noon.
NOON = datetime(2025, 10, 23, 12, tzinfo=UTC)
PATIENCE = 100.0


def make(url: str, folder: Path) -> Platform:
    """The platform, with mails into files and `python3` for its pipelines."""
    return make_platform(
        Settings(url=url, golive_home=folder / "home"),
        email=EmailSettings(email_from="GoLive <noreply@golive.dev>", mail_dir=folder / "mail"),
        pipeline_settings=PipelineSettings(pipeline_folder=folder / "home" / "pipelines"),
        tools=Tools(programs={"python3": sys.executable}),
    )


@pytest.fixture
def clock() -> FakeClock:
    """What the store takes for the time."""
    return FakeClock(NOON)


@pytest.fixture
async def golive(platform_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Platform]:
    """The platform on a store whose time the test decides: `drain` runs its jobs."""
    platform = make(platform_url, tmp_path)
    async with lent(platform.app, platform_url, clock):
        yield platform


@pytest.fixture
async def running(platform_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """The platform with a worker."""
    platform = make(platform_url, tmp_path)
    async with platform.app, await platform.app.worker():
        yield platform


@pytest.fixture
async def idle(platform_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """The platform without a worker: jobs stay where they are."""
    platform = make(platform_url, tmp_path)
    async with platform.app:
        yield platform


async def fill(platform: Platform, days: int = 30) -> None:
    """Put the sample data into its database, as of today."""
    platform.make_home()
    async with platform.golive.database:
        await seed(platform.golive, platform.home, days=days)


def mails(folder: Path) -> list[EmailMessage]:
    """The mails that were sent, by the names of their files."""
    files = sorted((folder / "mail").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=policy.default) for file in files]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """What a mail says."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def as_json(value: object) -> object:
    """A value as it is after a trip through JSON."""
    return json.loads(json.dumps(value))


def explode(job: BullJob) -> None:
    """A handler that never succeeds."""
    raise ConnectionError(f"SMTP connection timeout for {job.name}")


async def fail_some(manager: JobQueueManager, count: int, name: str = "explodes") -> None:
    """Put failed jobs into the queue `email`."""
    if name not in manager.app.queues[QueueName.EMAIL].definitions:
        manager.process_jobs(QueueName.EMAIL, name, explode)
    queue = manager.queue(QueueName.EMAIL)
    await queue.add_bulk(
        [{"name": name, "data": {"number": number}, "opts": {"attempts": 1}} for number in range(count)]
    )
    await drain(manager.app)
