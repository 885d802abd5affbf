"""The AI backend's demo: people ask, a model answers as it can, and the house is kept.

`python -m examples.demo aibackend`; the stage it plays on is every platform's. No model is asked but a parrot,
which is busy, slow and mistaken where a real one would be.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import httpx2
import jwt
from pydantic import SecretStr

from corral import Corral
from corral.handlers.ai import AiSettings, Completion, Embedded, ModelError, OnText, Question
from corral.handlers.email import DryRunTransport, EmailSettings
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import BusyError, RefusedError
from examples.demo.stage import Stage, Web

from .build import SENDER, database_of, make_app
from .payloads import BatchProcess, Greeting, Notice, QueueName, Secret
from .seed import PEOPLE, seed
from .settings import Settings

#: What the parrot hears in a message, and then does.
BUSY, BROKEN, FORBIDDEN = "while everybody asks", "with a broken line", "what no model answers"
_OPEN: WeakKeyDictionary[Corral, Database] = WeakKeyDictionary()


class Parrot:
    """A model that says again what it was told, a word at a time."""

    def __init__(self) -> None:
        self.heard: dict[str, int] = {}

    async def complete(self, question: Question, on_text: OnText | None = None) -> Completion:
        """Answer, unless the message says what is to go wrong."""
        said = question.messages[-1].content
        times = self.heard[said] = self.heard.get(said, 0) + 1
        if BUSY in said and times == 1:
            raise BusyError("<the parrot> answered 429 slow down", status=429, after=2)
        if BROKEN in said and times <= 2:
            raise ModelError("<the parrot> broke off before the answer was complete")
        if FORBIDDEN in said:
            raise RefusedError("<the parrot> answered 400 no", status=400)
        words = f"You said: {said}".split()
        for number in range(1, len(words) + 1):
            if on_text is not None:
                await on_text(" ".join(words[:number]))
            await asyncio.sleep(0.01)  # somebody is thinking
        asked = sum(len(message.content.split()) for message in question.messages)
        return Completion(content=" ".join(words), model="parrot", prompt_tokens=asked, completion_tokens=len(words))

    async def embed(self, texts: Sequence[str], model: str) -> Embedded:
        """Vectors by the letters of the texts."""
        vectors = tuple(tuple(float(text.lower().count(letter)) + 0.01 for letter in "aeiourstln") for text in texts)
        return Embedded(vectors=vectors, model="parrot", tokens=sum(len(text.split()) for text in texts))


def prepare(folder: Path) -> None:
    """Old files for the clean-up to find; the rest of the data is put in again in any case."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    then = time.time() - 2 * 86_400
    for number in range(1, 4):
        path = temporary / f"upload-{number}.part"
        path.write_text("half a file", encoding="utf-8")
        os.utime(path, (then, then))


def settings_of(stage: Stage) -> Settings:
    """As the stage has it: files in its folder, tokens signed with its secret."""
    secret = SecretStr(stage.secret) if stage.secret else None
    return Settings(url=stage.url, aibackend_home=stage.folder, jwt_secret=secret)


async def build(stage: Stage) -> Corral:
    """The platform, with a parrot for a model and mails that stay on this machine."""
    settings = settings_of(stage)
    database = database_of(settings, stage.url)
    email = EmailSettings(email_transport="dry-run", email_from=SENDER)
    app = make_app(
        settings, ai=AiSettings(ai_url="http://127.0.0.1:9/v1"), model=Parrot(), email=email,
        transport=DryRunTransport(stage.mails), database=database,
    )  # fmt: skip
    await seed(database)
    _OPEN[app] = await stage.keep(database)
    return app


def api(app: Corral, stage: Stage) -> Web:
    """The platform's HTTP endpoints, on the database that is open already."""
    from .api import make_api

    return make_api(app, settings_of(stage), database=_OPEN[app])


async def life(app: Corral, stage: Stage) -> None:
    """People come, ask, and want mails; then the house is kept."""
    await ask(app, stage)
    await write(app, stage)
    await keep(app, stage)
    await over_http(stage)


async def ask(app: Corral, stage: Stage) -> None:
    """Questions: what goes well, what does not, and many at once."""
    tasks = app.queues[QueueName.AI_TASKS]
    completion = tasks.definition("generate-completion")
    await completion.add({"userId": "user-1", "conversationId": "user-1-trip", "message": "And with children?"})
    stage.note("Alice goes on with her conversation")
    for trouble in (BUSY, BROKEN):
        data = {"userId": "user-2", "conversationId": "user-2-sql", "message": f"Answer me {trouble}"}
        await completion.add(data)
    stage.note("Bob asks while the model has too much to do (429: again after 2 s), and on a line that breaks twice")
    refused = {"userId": "user-3", "conversationId": "user-3-names", "message": f"Say {FORBIDDEN}"}
    stage.fails(await completion.add(refused))
    stage.note("Carol asks what no model answers: it fails at once, she is told, and so is the administrator")
    foreign = {"userId": "user-3", "conversationId": "user-1-trip", "message": "What did Alice say?"}
    stage.fails(await completion.add(foreign))
    stage.note("Carol asks in Alice's conversation: that fails at once, too")
    many = [
        {"userId": f"user-{1 + n % 3}", "conversationId": f"crowd-{n % 3}-{n % 20}", "message": f"Question {n}"}
        for n in range(stage.burst)
    ]
    stage.many(await completion.add_bulk(many))
    stage.note(f"{stage.burst} questions come at once")
    urgent = {"userId": "user-1", "conversationId": "user-1-bread", "message": "The oven is on. What now?"}
    await completion.add(urgent, priority=1)
    stage.note("Alice's oven is on: priority 1 goes before all of them")
    await tasks.definition("batch-process").add(BatchProcess(user_id="user-2", items=["one", "two", "three"]))


async def write(app: Corral, stage: Stage) -> None:
    """Mails, each once."""
    mails = app.queues[QueueName.EMAIL].definition
    for _ in range(2):
        await mails("send-welcome").add(Greeting(user_id="user-3"))
    await mails("send-verification").add(Secret(user_id="user-3", token="demo-token-0123456789"))  # noqa: S106
    await mails("send-reset-password").add(Secret(user_id="user-2", token="demo-token-9876543210"))  # noqa: S106
    await mails("send-notification").add(Notice(user_id="user-1", message="Your export is ready."))
    stage.note("a welcome (asked for twice, sent once), an address to confirm, a password to choose, a notification")


async def keep(app: Corral, stage: Stage) -> None:
    """What schedules do, now."""
    await app.sync_schedules()
    scheduler = app.scheduler(await app.open())
    for key in ("daily-report", "cleanup", "sync", "daily-backup", "health-check"):
        await scheduler.run_now(QueueName.MAINTENANCE, key)
    stage.note("the daily report, the clean-up, the search, a backup and a look at everybody's health run now")


async def over_http(stage: Stage) -> None:
    """The same over HTTP, as the web application's people do it."""
    if stage.site is None:
        return
    claims = {"sub": PEOPLE[0].id, "roles": ["USER"], "exp": time.time() + 300}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, stage.secret, algorithm='HS256')}"}
    async with httpx2.AsyncClient(base_url=stage.site, headers=headers, timeout=30) as client:
        message = {"conversationId": "user-1-bread", "message": "Thank you!"}
        queued = (await client.post("/ai/queue", json=message)).json()
        status = (await client.get(f"/ai/jobs/{queued['jobId']}")).json()
    stage.note(f"POST /ai/queue answered {queued}, GET /ai/jobs/{queued['jobId']} says it is {status['state']}")
