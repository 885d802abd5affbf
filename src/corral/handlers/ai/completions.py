"""Answering messages."""

import hashlib
import logging
from collections.abc import Sequence
from typing import NotRequired, TypedDict

from corral.handlers.ai.conversations import Conversations, Message, NotOwnerError
from corral.handlers.ai.model import Completion, Model, OnText, Question, Said, estimate
from corral.handlers.ai.payload import GenerateCompletion
from corral.handlers.ai.settings import AiSettings
from corral.handlers.ai.steer import steered
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.ai")

#: Between two reports while an answer is written. A report is a write for the store and an event for who looks on.
REPORT_MS = 500
#: The end of a long answer is what those who look on have not seen yet.
SHOWN = 8_000


class Completed(TypedDict):
    """What came of a message."""

    conversationId: str
    content: str
    tokens: int
    truncated: NotRequired[bool]  #: `maxTokens` ended the answer
    dryRun: NotRequired[bool]


class Completions:
    """Answers messages: the jobs use it, and a handler of your own may."""

    def __init__(
        self, settings: AiSettings, model: Model, conversations: Conversations, *, clock: Clock = now_ms
    ) -> None:
        self._settings = settings
        self._model = model
        self._conversations = conversations
        self._clock = clock

    async def answer(self, ctx: JobContext, data: GenerateCompletion) -> Completed:
        """Answer a message with its conversation in mind, and keep both.

        The model is asked once: a later attempt finds its answer with the job's steps, and the messages under ids made
        of the job's.

        Raises:
            Discard: somebody else's conversation, or a question that never will be answered. Retry: not now.
        """
        logger.debug("Processing job %s", ctx.id)
        await ctx.progress(10)
        history = await self._history(ctx, data)
        await ctx.progress(30)
        completion = await ctx.step("completion", self._ask, ctx, self._question(data, history))
        await ctx.progress(80)
        await self._keep(ctx, data, completion)
        await ctx.progress(100)
        logger.debug("Job %s completed", ctx.id)
        result: Completed = {
            "conversationId": data.conversation_id, "content": completion.content, "tokens": completion.tokens
        }  # fmt: skip
        if completion.cut:
            result["truncated"] = True
        if completion.dry_run:
            result["dryRun"] = True
        return result

    async def _history(self, ctx: JobContext, data: GenerateCompletion) -> Sequence[Message]:
        asked = Message(id=message_id(ctx, "user"), role="USER", content=data.message)
        try:
            number = await self._conversations.add(data.conversation_id, data.user_id, asked)
            limit = self._settings.ai_history_messages
            return await self._conversations.history(data.conversation_id, data.user_id, until=number, limit=limit)
        except NotOwnerError as error:
            raise Discard(str(error)) from None

    def _question(self, data: GenerateCompletion, history: Sequence[Message]) -> Question:
        room = self._settings.ai_history_tokens
        kept: list[Said] = []
        for message in reversed(history):
            room -= estimate(message.content)
            if room < 0 and kept:  # the message itself goes in any case
                break
            kept.append(Said("assistant" if message.role == "ASSISTANT" else "user", message.content))
        system = [Said("system", text) for text in (self._settings.ai_system, data.system) if text]
        return Question(
            messages=(*system, *reversed(kept)), model=data.model or self._settings.ai_model,
            max_tokens=data.max_tokens, temperature=data.temperature,
        )  # fmt: skip

    async def _ask(self, ctx: JobContext, question: Question) -> Completion:
        watch = None if self._settings.ai_stream == "off" else self._watch(ctx, question)
        with steered(ctx):
            return await self._model.complete(question, watch)

    def _watch(self, ctx: JobContext, question: Question) -> OnText:
        """Reports how far the answer is: between 30 and 80 percent, by its length and the longest it may have."""
        last = self._clock()

        async def report(text: str) -> None:
            nonlocal last
            now = self._clock()
            if now - last < REPORT_MS:
                return
            last = now
            percent = 30 + min(50, 50 * estimate(text) // question.max_tokens)
            shown = {"percent": percent, "text": text[-SHOWN:]}
            await ctx.progress(shown if self._settings.ai_stream == "text" else percent)

        return report

    async def _keep(self, ctx: JobContext, data: GenerateCompletion, completion: Completion) -> None:
        answer = Message(
            id=message_id(ctx, "assistant"), role="ASSISTANT", content=completion.content, model=completion.model[:128],
            tokens=completion.tokens,
        )  # fmt: skip
        try:
            await self._conversations.add(data.conversation_id, data.user_id, answer)
        except NotOwnerError as error:
            raise Discard(str(error)) from None


def message_id(ctx: JobContext, role: str) -> str:
    """The same in every attempt of a job and in no other: ids may come again, but not when their job was added."""
    whose = hashlib.sha256(f"{ctx.queue}/{ctx.id}/{ctx.job.created_at}".encode("utf-8", "backslashreplace"))
    return f"{role}-{whose.hexdigest()[:32]}"
