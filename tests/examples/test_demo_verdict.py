"""What the demo would say if something went wrong: its last line must be able to be bad news."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corral import Corral
from corral.handlers.email import EmailSettings
from corral.testing import app_in_memory, drain
from examples.demo.play import Wish, report
from examples.demo.stage import Stage
from examples.demo.watch import Watch, windows
from examples.teamspark.build import add_job, make_app
from examples.teamspark.demo import mail
from examples.teamspark.settings import Settings

HELLO = mail("user@example.com", "Hello", "notification", message="Hello.")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Corral]:
    settings = Settings(url="sqlite:///corral.db", teamspark_home=tmp_path)
    email = EmailSettings(email_transport="dry-run", mail_dir=tmp_path / "mail")
    async with app_in_memory(make_app(settings, email=email)) as lent:
        yield lent


@pytest.fixture
def stage(app: Corral, tmp_path: Path) -> Stage:
    return Stage(tmp_path, app.url)


async def verdict(app: Corral, stage: Stage, watch: Watch, *, interrupted: bool = False, once: bool = True) -> int:
    await watch.look()
    wish = Wish("teamspark", once=once, plain=True, port=0)
    return report(app, stage, wish, watch, await watch.result(), interrupted=interrupted)


async def watched(app: Corral, stage: Stage) -> Watch:
    watch = Watch(app, stage)
    await watch.begin()
    await add_job(app.queues["send-email"], "send-email", HELLO)
    await add_job(app.queues["send-email"], "send-email", HELLO)
    return watch


async def test_a_job_that_vanished_is_lost_and_the_exit_code_is_1(
    app: Corral, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = await watched(app, stage)
    await (await app.queues["send-email"].open()).remove("2")
    await drain(app)
    assert await verdict(app, stage, watch) == 1
    assert not watch.settled
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["lost: send-email/2", "demo: 1 completed, 0 retried, 0 failed as intended, 1 lost"]


async def test_a_job_that_never_ends_is_lost_too(app: Corral, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    watch = await watched(app, stage)
    assert await verdict(app, stage, watch) == 1
    assert capsys.readouterr().out.endswith("demo: 0 completed, 0 retried, 0 failed as intended, 2 lost\n")


async def test_after_an_interruption_it_is_only_waiting(
    app: Corral, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = await watched(app, stage)
    assert await verdict(app, stage, watch, interrupted=True) == 130
    assert await verdict(app, stage, watch, interrupted=True, once=False) == 0
    assert "2 jobs are still in the store" in capsys.readouterr().out


async def test_a_job_that_fails_without_being_meant_to_makes_the_exit_code_1(
    app: Corral, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = await watched(app, stage)
    stage.mails.write_text("no folder can be made here")
    drained = await drain(app)
    assert (drained.failed, drained.retried) == (2, 4)
    assert await verdict(app, stage, watch) == 1
    out = capsys.readouterr().out
    assert out.count("failed, and was not meant to: send-email/") == 2
    assert out.endswith("demo: 0 completed, 4 retried, 0 failed as intended, 0 lost\n")


async def test_a_job_that_was_meant_to_fail_and_does_not_makes_the_exit_code_1(
    app: Corral, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = await watched(app, stage)
    stage.fail_named("send-email", "send-email")
    await drain(app)
    assert await verdict(app, stage, watch) == 1
    assert capsys.readouterr().out.count("was meant to fail, and did not: send-email/") == 2


async def test_when_all_have_ended_the_demo_is_over(app: Corral, stage: Stage) -> None:
    watch = await watched(app, stage)
    await drain(app)
    assert await verdict(app, stage, watch) == 0
    assert watch.settled


def test_a_window_begins_with_its_first_start() -> None:
    assert windows([]) == []
    assert windows([100, 900, 1099, 1100, 5000]) == [3, 1, 1]
