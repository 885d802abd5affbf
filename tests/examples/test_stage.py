"""The stage itself, with a platform of three jobs on it: what it shows, what it serves, and how it ends."""

import asyncio
import contextlib
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from corral import Corral, Discard, Event, EventType
from examples.demo.play import Wish, play
from examples.demo.screen import gist
from examples.demo.stage import Message, Stage, Web, load, platforms

ONCE = Wish("tiny", once=True, plain=True, port=0)


class Tiny:
    """A platform with a job that works, one that gives up, and an API of one sentence."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def prepare(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    async def build(self, stage: Stage) -> Corral:
        app = Corral(stage.url)
        queue = app.queue("tiny")

        @queue.job("works")
        async def works() -> str:
            return "done"

        @queue.job("gives-up")
        async def gives_up() -> None:
            raise Discard("not today")

        return app

    async def life(self, app: Corral, stage: Stage) -> None:
        queue = app.queues["tiny"]
        await queue.definition("works").add()
        stage.fails(await queue.definition("gives-up").add())

    def api(self, app: Corral, stage: Stage) -> Web:
        async def web(
            scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
        ) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"hello"})

        return web


class Asking(Tiny):
    """It asks its own API while it lives, and has a helper that must be gone afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.helper: list[str] = []

    async def life(self, app: Corral, stage: Stage) -> None:
        @contextlib.asynccontextmanager
        async def helper() -> AsyncIterator[None]:
            self.helper.append("there")
            yield
            self.helper.append("gone")

        await stage.keep(helper())
        assert stage.site is not None
        for path in ("/anything", "/dashboard/login", "/dashboard/livez"):
            self.answers.append(await asyncio.to_thread(ask, stage.site + path))
        await super().life(app, stage)


class Broken(Tiny):
    """Its demo has a fault of its own."""

    async def life(self, app: Corral, stage: Stage) -> None:
        raise RuntimeError("nobody came")


class Careless(Tiny):
    """A job of it fails, and it does not say that it should."""

    async def life(self, app: Corral, stage: Stage) -> None:
        await app.queues["tiny"].definition("gives-up").add()


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


@pytest.fixture
def stage(platform_url: str, tmp_path: Path) -> Stage:
    return Stage(tmp_path, platform_url)


async def test_it_serves_the_platform_s_api_and_the_dashboard_while_its_jobs_run(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    act = Asking()
    assert await play(act, stage, ONCE) == 0
    hello, login, alive = act.answers
    assert (hello, act.helper) == (b"hello", ["there", "gone"])
    assert b"<form" in login
    assert alive
    out = capsys.readouterr().out
    assert f"the dashboard, for one login: {stage.site}/dashboard/login?token=" in out
    assert f"the platform's API is at {stage.site}" in out
    assert out.endswith("demo: 1 completed, 0 retried, 1 failed as intended, 0 lost\n")


async def test_a_failure_nobody_meant_makes_the_exit_code_1(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert await play(Careless(), stage, ONCE) == 1
    assert "failed, and was not meant to: tiny/1 " in capsys.readouterr().out


async def test_a_fault_in_the_demo_itself_is_not_hidden(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="nobody came"):
        await play(Broken(), stage, ONCE)


async def test_a_port_that_is_taken_is_said_in_one_line(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wish = ONCE._replace(port=taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"demo: port {wish.port} cannot be used: "):
            await play(Tiny(), stage, wish)


@pytest.mark.parametrize("platform", platforms())
def test_a_platform_with_an_api_shows_it(platform: str) -> None:
    has_api = (Path(__file__).parents[2] / "examples" / platform / "api.py").exists()
    assert callable(getattr(load(platform), "api", None)) is has_api


@pytest.mark.parametrize("platform", platforms())
def test_every_platform_s_demo_has_the_three_parts(platform: str) -> None:
    act = load(platform)
    assert [callable(getattr(act, name, None)) for name in ("prepare", "build", "life")] == [True, True, True]


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ('{"messageId": "<1@x>", "response": "mail/welcome-1.eml"}', "→ welcome-1.eml"),
        ('"no such mailbox"', "no such mailbox"),
        (None, "→ tiny/7 has it"),  # not `null`: a result there is, only too long for an event
        (f'"{"a" * 200}"', "a" * 89 + "…"),
    ],
)
def test_an_event_is_told_in_a_few_words(detail: str | None, told: str) -> None:
    assert gist(Event(type=EventType.COMPLETED, queue="tiny", at=0, job_id="7", name="works", detail=detail)) == told
