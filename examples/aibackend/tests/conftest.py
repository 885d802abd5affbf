"""The platform on an empty store of each engine: with a parrot for a model, and mails that become files."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from corral import AppQueue, BaseWorker, Corral, WorkerOptions
from corral.compat import BullQueue
from corral.handlers.ai import AiSettings, Completion, Embedded, OnText, Question
from corral.handlers.email import DryRunTransport, EmailSettings
from corral.handlers.kit.database import Database
from corral.testing import FakeClock
from corral.testing.app import lent
from examples.aibackend.api import make_api
from examples.aibackend.build import SENDER, database_of, make_app
from examples.aibackend.data import Data
from examples.aibackend.payloads import QueueName
from examples.aibackend.seed import PEOPLE
from examples.aibackend.settings import Settings

SECRET = "only for tests: 32 bytes and more"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASKED = {"userId": "user-1", "conversationId": "c-1", "message": "Hello"}


class Parrot:
    """A model that says again what it was told, after what the test has put in its way."""

    def __init__(self) -> None:
        self.trouble: list[Exception] = []  #: raised one after the other, before it answers
        self.asked: list[Question] = []
        self.begun = asyncio.Event()  #: somebody has asked
        self.gate: asyncio.Event | None = None  #: answers wait for it

    async def complete(self, question: Question, on_text: OnText | None = None) -> Completion:
        """Answer."""
        self.asked.append(question)
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        said = f"You said: {question.messages[-1].content}"
        return Completion(content=said, model="parrot", prompt_tokens=3, completion_tokens=len(said.split()))

    async def embed(self, texts: Sequence[str], model: str) -> Embedded:
        """Vectors by the lengths of the texts."""
        return Embedded(vectors=tuple((1.0, float(len(text))) for text in texts), model=model, tokens=len(texts))


class Captured:
    """An error tracker."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, Mapping[str, object]]] = []

    def capture(self, message: str, contexts: Mapping[str, Mapping[str, object]]) -> None:
        self.failures.append((message, contexts["job"]))


@dataclass
class Place:
    """The platform, and everything around it that a test looks at."""

    app: Corral
    settings: Settings
    database: Database
    folder: Path
    url: str
    model: Parrot
    tracker: Captured
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))

    @property
    def data(self) -> Data:
        return Data(self.database)

    @property
    def tasks(self) -> AppQueue:
        return self.app.queues[QueueName.AI_TASKS]

    @property
    def emails(self) -> AppQueue:
        return self.app.queues[QueueName.EMAIL]

    @property
    def house(self) -> AppQueue:
        return self.app.queues[QueueName.MAINTENANCE]

    async def worker(self, *queues: str, shutdown_timeout: float = 30) -> BaseWorker:
        """A worker for `ai-tasks`, or for these. Not for all: at a full hour the house would begin to keep itself."""
        served = dict.fromkeys(queues or (QueueName.AI_TASKS,))
        return await self.app.worker(
            queues=served, options=WorkerOptions(stats_interval=0, shutdown_timeout=shutdown_timeout)
        )

    def bull(self) -> BullQueue:
        """The queue `ai-tasks` with the methods that the guide calls."""
        return BullQueue(QueueName.AI_TASKS, self.app)

    def mails(self) -> list[EmailMessage]:
        files = sorted((self.folder / "mail").glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=policy.default) for file in files]


def text_of(mail: EmailMessage) -> str:
    """What a mail says, as text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def build(folder: Path, url: str, **more: object) -> Place:
    """The platform with its files in a folder of the test's own. Opens nothing."""
    settings = Settings(url=url, aibackend_home=folder, jwt_secret=SecretStr(SECRET))
    database, model, tracker = database_of(settings, url), Parrot(), Captured()
    app = make_app(
        settings, ai=AiSettings(ai_url="http://127.0.0.1:9/v1"), model=model, tracker=tracker, database=database,
        email=EmailSettings(email_transport="dry-run", email_from=SENDER),
        transport=DryRunTransport(folder / "mail"),
    )  # fmt: skip
    return Place(app, settings, database, folder, url, model, tracker)


@pytest.fixture
async def place(tmp_path: Path, platform_url: str) -> AsyncIterator[Place]:
    """The platform with a clock of its own, for `drain`."""
    made = build(tmp_path, platform_url)
    async with made.database, lent(made.app, platform_url, made.clock):
        await made.data.put_users(PEOPLE)
        yield made


@pytest.fixture
async def live(tmp_path: Path, platform_url: str) -> AsyncIterator[Place]:
    """The platform as it is in production, for workers."""
    made = build(tmp_path, platform_url)
    async with made.database, made.app:
        await made.data.put_users(PEOPLE)
        yield made


@pytest.fixture
async def site(live: Place) -> AsyncIterator[FastAPI]:
    """Its HTTP side."""
    api = make_api(live.app, live.settings, database=live.database)
    async with api.router.lifespan_context(api):
        yield api


class Visitors:
    """Clients of the HTTP side, each somebody."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._open: list[httpx2.AsyncClient] = []

    def __call__(self, sub: str | None = None, *roles: str, **claims: object) -> httpx2.AsyncClient:
        headers = {} if sub is None else {"Authorization": f"Bearer {token(sub, *roles, **claims)}"}
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self._api), base_url="http://localhost:8000", headers=headers, timeout=30
        )
        self._open.append(client)
        return client

    async def close(self) -> None:
        for client in self._open:
            await client.aclose()


@pytest.fixture
async def visit(site: FastAPI) -> AsyncIterator[Visitors]:
    """Somebody with a token: `visit("user-1")`, `visit("admin-1", "ADMIN")`; nobody: `visit()`."""
    visitors = Visitors(site)
    yield visitors
    await visitors.close()


def token(sub: str, *roles: str, **claims: object) -> str:
    """A token of the application's."""
    said = {"sub": sub, "roles": list(roles or ("USER",)), "exp": time.time() + 300, **claims}
    return jwt.encode(said, SECRET, algorithm="HS256")
