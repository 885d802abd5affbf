"""What the platform's jobs do. Those about models are corral's own: here they only get the platform's services.

Every handler may run twice: a worker can die between doing the work and saying so. What each of them does about that is
said in its docstring.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from corral import Corral, Discard, JobContext, PayloadError, Snooze, Step, WaitForChildren, handles
from corral.handlers.ai import (
    AiSettings,
    Completed,
    Completion,
    Completions,
    Embeddings,
    GenerateCompletion,
    GenerateEmbeddings,
    Model,
    Question,
    Said,
    Stored,
)
from corral.handlers.email import Mailer, SendEmail

from .data import Data, NewText, User
from .payloads import BatchProcess, Greeting, Nothing, Notice, QueueName, Report, Secret
from .settings import Settings

logger = logging.getLogger("aibackend")

#: Where the days of the reports begin.
ZONE = "America/New_York"
#: Messages that one `sync` hands to the search.
AT_ONCE = 200
#: What no further attempt follows, whichever this one was.
FINAL = (Discard, PayloadError)


async def lifecycle(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
    """The life of every job in the log: how it begins, how it ends, and why it did not go well, with the stack."""
    logger.debug("Starting job %s", ctx.id)
    try:
        result = await call_next()
    except (Snooze, WaitForChildren):  # it did not fail: it comes again
        raise
    except (Exception, asyncio.CancelledError) as error:  # it goes on: this only tells
        final = ctx.is_last_attempt or isinstance(error, FINAL)
        reason = "stopped before its end" if isinstance(error, asyncio.CancelledError) else error
        told = logger.error if final else logger.warning
        told("Job %s failed: %s (attempt %d of %d)", ctx.id, reason, ctx.attempt, ctx.attempts, exc_info=True)
        raise
    logger.debug("Job %s completed successfully", ctx.id)
    return result


# -- ai-tasks ----------------------------------------------------------------------------------------------------------


class Batch(TypedDict):
    """What came of several texts."""

    answers: list[str]
    tokens: int


class AiTaskProcessor:
    """The jobs about models. Its services are given to it: in a worker by the application, in a test by the test."""

    def __init__(self, completions: Completions, embeddings: Embeddings, model: Model, settings: AiSettings) -> None:
        self.completions = completions
        self.embeddings = embeddings
        self.model = model
        self.settings = settings

    @handles("generate-completion")
    async def handle_completion(self, ctx: JobContext, data: GenerateCompletion) -> Completed:
        """Answer a message. A second run pays for nothing again, and adds no message twice."""
        return await self.completions.answer(ctx, data)

    @handles("generate-embeddings", timeout=600)
    async def handle_embeddings(self, ctx: JobContext, data: GenerateEmbeddings) -> Stored:
        """Make texts comparable. A second run goes on after the last batch."""
        return await self.embeddings.store(ctx, data)

    @handles("batch-process", timeout=3_600)
    async def handle_batch(self, ctx: JobContext, data: BatchProcess) -> Batch:
        """Answer texts one after the other. Each answer is a step: a second run goes on after the last one."""
        answers: list[str] = []
        tokens = told = 0
        for number, text in enumerate(data.items, 1):
            completion = await ctx.step(Step("answer", key=number), self.ask, text)
            answers.append(completion.content)
            tokens += completion.tokens
            percent = 100 * number // len(data.items)
            if percent > told:  # of 500 texts not each is news
                told = percent
                await ctx.progress(percent)
        return {"answers": answers, "tokens": tokens}

    async def ask(self, text: str) -> Completion:
        """One answer without a conversation."""
        messages = (Said("user", text),)
        return await self.model.complete(
            Question(messages=messages, model=self.settings.ai_model, max_tokens=1_000, temperature=0.7)
        )


# -- email -------------------------------------------------------------------------------------------------------------


class MailResult(TypedDict):
    """`sent`, or `already_sent`."""

    status: str


class EmailProcessor:
    """The mails: each is sent once to each person, also when its job is added twice."""

    def __init__(self, data: Data, mailer: Mailer, settings: Settings) -> None:
        self.data = data
        self.mailer = mailer
        self.site = settings.site

    @handles("send-welcome")
    async def welcome(self, ctx: JobContext, data: Greeting) -> MailResult:
        """Once in a lifetime."""
        facts = {"dashboardUrl": f"{self.site}/chat", "steps": ["Ask something", "Look at what others ask"]}
        return await self.send(ctx, data.user_id, "welcome", "Welcome!", "welcome", facts)

    @handles("send-verification", keep_completed=False)
    async def verification(self, ctx: JobContext, data: Secret) -> MailResult:
        """Once for each job: somebody may ask for a new link."""
        facts = {"verificationUrl": f"{self.site}/verify?token={data.token}", "expiresIn": "a day"}
        kind = f"verification:{ctx.id}"
        return await self.send(ctx, data.user_id, kind, "Confirm your address", "verification", facts)

    @handles("send-reset-password", keep_completed=False)
    async def reset_password(self, ctx: JobContext, data: Secret) -> MailResult:
        """Once for each job: somebody may forget their password again."""
        facts = {"resetUrl": f"{self.site}/reset?token={data.token}", "expiresIn": "an hour"}
        kind = f"reset-password:{ctx.id}"
        return await self.send(ctx, data.user_id, kind, "Choose a new password", "password-reset", facts)

    @handles("send-notification")
    async def notification(self, ctx: JobContext, data: Notice) -> MailResult:
        """Once for each job."""
        facts: dict[str, object] = {"message": data.message}
        if data.job_id:
            facts["details"] = {"Job": data.job_id}
        kind = f"notification:{ctx.id}"
        return await self.send(ctx, data.user_id, kind, "Something for you", "notification", facts)

    async def send(
        self, ctx: JobContext, user_id: str, kind: str, subject: str, template: str, facts: Mapping[str, object]
    ) -> MailResult:
        """Send a mail of this kind to somebody once, whoever asks: also when two jobs do so at the same moment."""
        user = await self.data.user(user_id)
        if user is None:
            raise Discard(f"nobody has the id {user_id!r}")
        if not await self.data.was_sent(user_id, kind):
            mail = SendEmail.model_validate(
                {"to": user.email, "subject": subject, "template": template, "data": {"name": user.name, **facts}}
            )
            by = await ctx.once(f"mail:{user_id}:{kind}", self.deliver, ctx, mail)
            await self.data.note_sent(user_id, kind)
            if by == ctx.id:
                return {"status": "sent"}
        logger.warning("Email already sent to %s", user_id)
        return {"status": "already_sent"}

    async def deliver(self, ctx: JobContext, mail: SendEmail) -> str:
        """Send it; answers the id of the job that did."""
        await self.mailer.deliver(ctx, mail)
        return ctx.id


# -- maintenance -------------------------------------------------------------------------------------------------------


class Reported(TypedDict):
    """A day's report."""

    day: str
    people: int
    messages: int
    tokens: int
    mails: int


class Synced(TypedDict):
    """What was handed to the search."""

    texts: int
    jobs: int


class HouseKeeper:
    """What happens by itself."""

    def __init__(self, app: Corral, data: Data) -> None:
        self.app = app
        self.data = data

    @handles("daily-report")
    async def daily_report(self, ctx: JobContext, data: Report) -> Reported:
        """Count the day before and mail it to the administrators: kept by its day, mailed under ids of the day."""
        # A schedule's job counts for its slot, however late it came; one that somebody added, for the day in its data.
        slot = ctx.scheduled_for
        today = date.fromisoformat(data.date) if slot is None else slot.astimezone(ZoneInfo(ZONE)).date()
        usage = await self.data.usage(today - timedelta(days=1), ZONE)
        await self.data.put_report(usage)
        admins = await self.data.admins()
        text = f"{usage.people} people, {usage.messages} messages and {usage.tokens} tokens on {usage.day}."
        for admin in admins:
            await self.tell(f"report-{usage.day}-{admin.id}", admin, text)
        return {**usage._asdict(), "mails": len(admins)}  # type: ignore[typeddict-item]  # the tuple's own fields

    @handles("sync")
    async def sync(self, ctx: JobContext, data: Nothing) -> Synced:
        """Hand new messages to the search. Jobs have ids of what they hold, so a second run adds none twice."""
        fresh = await self.data.new_texts(AT_ONCE)
        by_owner: defaultdict[str, list[NewText]] = defaultdict(list)
        for text in fresh:
            by_owner[text.owner].append(text)
        embed = self.app.definition(QueueName.AI_TASKS, "generate-embeddings")
        for owner, texts in by_owner.items():
            payload = {
                "texts": [{"id": text.id, "text": text.content} for text in texts if text.content],
                "collection": f"messages-{owner}"[:128], "userId": owner,
            }  # fmt: skip
            await embed.add(payload, id=f"index-{owner}-{texts[-1].id}", priority=1_000_000)  # people go first
        if fresh:
            await self.data.have_read(fresh[-1])
        return {"texts": len(fresh), "jobs": len(by_owner)}

    async def tell(self, id: str, user: User, message: str, job_id: str | None = None) -> None:
        """Add a mail under an id of its own: a second one with that id is the first one."""
        mail = self.app.definition(QueueName.EMAIL, "send-notification")
        await mail.add(Notice(user_id=user.id, message=message, job_id=job_id), id=id)
