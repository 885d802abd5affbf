"""Models behind the API that OpenAI began and many servers speak: `/chat/completions` and `/embeddings`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from corral.handlers.ai.model import Completion, Embedded, ModelError, OnText, Question, estimate
from corral.handlers.kit.web import Answer, BusyError, Web, WebError, check

_T = TypeVar("_T")

#: One answer, however long; and the vectors of a whole batch.
MAX_ANSWER, MAX_VECTORS = 8_000_000, 64_000_000
#: A quota that is used up is not there again in a second. Seconds.
QUOTA_WAIT = 600.0


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    delta: _Message = msgspec.field(default_factory=_Message)
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chat(Struct):
    """An answer, or one event of it."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    model: str | None = None
    error: object = None


class _Vector(Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Usage | None = None


class OpenAi:
    """A server, and the key to it.

    Args:
        web: how it is reached; it must trust the server where that is not public.
        url: up to where `/chat/completions` begins.
        tokens_field: what the server calls the bound of an answer.
        timeout: seconds for a whole answer.
    """

    def __init__(
        self, web: Web, url: str, key: SecretStr | None, *, tokens_field: str = "max_tokens", timeout: float = 60.0
    ) -> None:
        self.url = url.rstrip("/")
        self._web = web
        self._key = key
        self._tokens_field = tokens_field
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<models at {self.url}>"

    async def complete(self, question: Question, on_text: OnText | None = None) -> Completion:
        """Answer a conversation; as `Model.complete`."""
        body: dict[str, object] = {
            "model": question.model,
            "messages": [{"role": said.role, "content": said.content} for said in question.messages],
            self._tokens_field: question.max_tokens,
            "temperature": question.temperature,
        }
        if on_text is not None:
            return await self._streamed(question, body, on_text)
        answer = await self._post("/chat/completions", body, MAX_ANSWER)
        chat = _read(answer, _Chat)
        if not chat.choices:
            raise ModelError(f"{self!r} answered without a choice")
        choice = chat.choices[0]
        content = choice.message.content or choice.message.refusal or ""
        return _completion(question, content, chat.model, chat.usage, choice.finish_reason)

    async def _streamed(self, question: Question, body: dict[str, object], on_text: OnText) -> Completion:
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        text, model, usage, finished = "", None, None, None
        async with self._web.lines(
            "POST", f"{self.url}/chat/completions", headers=self._headers("text/event-stream"), json=body,
            timeout=self._timeout, max_bytes=MAX_ANSWER,
        ) as (head, lines):  # fmt: skip
            self._check(head)
            async for event in _events(lines):
                if event.error is not None:
                    raise WebError(f"{self!r} broke off: {_named(event.error)}")
                model, usage = event.model or model, event.usage or usage
                for choice in event.choices[:1]:
                    finished = choice.finish_reason or finished
                    part = choice.delta.content or choice.delta.refusal
                    if part:
                        text += part
                        await on_text(text)
        if finished is None:
            raise WebError(f"{self!r} broke off before the answer was complete")
        return _completion(question, text, model, usage, finished)

    async def embed(self, texts: Sequence[str], model: str) -> Embedded:
        """Make vectors; as `Model.embed`."""
        answer = await self._post("/embeddings", {"model": model, "input": list(texts)}, MAX_VECTORS)
        found = _read(answer, _Vectors)
        vectors = tuple(tuple(one.embedding) for one in sorted(found.data, key=lambda one: one.index))
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
            raise ModelError(f"{self!r} answered {len(texts)} texts with {len(vectors)} vectors, or of several lengths")
        tokens = found.usage.prompt_tokens if found.usage else sum(map(estimate, texts))
        return Embedded(vectors=vectors, model=found.model or model, tokens=tokens)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _post(self, path: str, body: Mapping[str, object], max_bytes: int) -> Answer:
        answer = await self._web.request(
            "POST", f"{self.url}{path}", headers=self._headers("application/json"), json=body, timeout=self._timeout,
            max_bytes=max_bytes,
        )  # fmt: skip
        return self._check(answer)

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"accept": accept}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers

    def _check(self, answer: Answer) -> Answer:
        try:
            return check(answer, repr(self))
        except BusyError as error:
            if error.after is None and b"insufficient_quota" in answer.body:
                raise BusyError(str(error), status=error.status, after=QUOTA_WAIT) from None
            raise


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[_Chat]:
    """The events of a stream: each a line `data: {…}`, the last one `data: [DONE]`. Comments keep it alive."""
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            return
        try:
            yield msgspec.json.decode(data, type=_Chat)
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise ModelError("an event of the answer cannot be read") from None


def _read(answer: Answer, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ModelError(f"{answer.url} answered what is not {kind.__name__.lstrip('_').lower()}") from None


def _completion(
    question: Question, content: str, model: str | None, usage: _Usage | None, finished: str | None
) -> Completion:
    counted = usage or _Usage(sum(estimate(said.content) for said in question.messages), estimate(content))
    return Completion(
        content=content, model=model or question.model, prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens, cut=finished == "length",
    )  # fmt: skip


def _named(error: object) -> str:
    """The kind of an error inside a stream; its text may repeat the prompt."""
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or "error")[:80]
    return "error"
