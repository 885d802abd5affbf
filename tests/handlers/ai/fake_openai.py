"""A server that speaks OpenAI's wire format: answers, streams, embeddings, refusals and silence, as they are told."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

KEY = "sk-canary-0123456789abcdef"
Plan = Callable[[Request], Response]


class FakeOpenAi:
    """Plans are used up one after the other; without one the server answers as it should."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/v1")
        self.asked: list[dict[str, Any]] = []
        self.plans: list[Plan] = []
        self.say: Callable[[str], str] = lambda text: f"You said: {text}"
        self.finish = "stop"
        self.released = threading.Event()  #: whoever waits in `silence` goes on
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(self._chat)
        server.expect_request("/v1/embeddings", method="POST").respond_with_handler(self._embed)

    def _chat(self, request: Request) -> Response:
        return self._planned(request) or self._stream_or_whole(request)

    def _embed(self, request: Request) -> Response:
        planned = self._planned(request)
        if planned is not None:
            return planned
        body = self.asked[-1]
        data = [
            {"object": "embedding", "index": index, "embedding": direction(text)}
            for index, text in enumerate(body["input"])
        ]
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        # The order is by index, which is not the order they come in.
        return reply({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage})

    def _planned(self, request: Request) -> Response | None:
        self.asked.append(json.loads(request.get_data()))
        if self.plans:
            return self.plans.pop(0)(request)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            text = f"Incorrect API key provided: {request.headers.get('Authorization', '')}."
            return refusal(401, text, "invalid_api_key", kind="invalid_request_error")
        return None

    def _stream_or_whole(self, request: Request) -> Response:
        body = self.asked[-1]
        text = self.say(body["messages"][-1]["content"])
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": len(text.split())}
        usage["total_tokens"] = sum(usage.values())
        if body.get("stream"):
            return Response(events(body, text, self.finish, usage), mimetype="text/event-stream")
        message = {"role": "assistant", "content": text, "refusal": None}
        return reply(
            {
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000,
                "model": f"{body['model']}-0613",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}],
                "usage": usage,
            }
        )  # fmt: skip

    # -- plans ---------------------------------------------------------------------------------------------------------

    def silence(self, request: Request) -> Response:
        """No answer until the test lets go."""
        self.released.wait(30)
        return reply({})

    def half_a_stream(self, request: Request) -> Response:
        """The connection ends in the middle of an answer."""
        body = json.loads(request.get_data())
        whole = list(events(body, "one two three", "stop", {}))
        return Response(iter(whole[:3]), mimetype="text/event-stream")

    def stream_with_an_error(self, request: Request) -> Response:
        """The server gives up in the middle of an answer, and says so in an event."""
        body = json.loads(request.get_data())
        whole = list(events(body, "one two three", "stop", {}))
        error = {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
        return Response(iter([*whole[:3], f"data: {json.dumps(error)}\n\n"]), mimetype="text/event-stream")


def events(body: dict[str, Any], text: str, finish: str, usage: dict[str, int]) -> Iterator[str]:
    """The events of a streamed answer, a word each, with a comment between."""

    def event(choices: list[dict[str, object]], **more: object) -> str:
        chunk = {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": body["model"],
            "choices": choices, **more,
        }  # fmt: skip
        return f"data: {json.dumps(chunk)}\n\n"

    yield event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    yield ": keep-alive\n\n"
    for number, word in enumerate(text.split(" ")):
        content = word if number == 0 else f" {word}"
        yield event([{"index": 0, "delta": {"content": content}, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": finish}])
    if body.get("stream_options", {}).get("include_usage"):
        yield event([], usage=usage)
    yield "data: [DONE]\n\n"


def reply(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, mimetype="application/json")


def refusal(
    status: int, text: str, code: str | None, *, kind: str = "invalid_request_error", after: str | None = None
) -> Response:
    """An error as the API words it."""
    error = {"error": {"message": text, "type": kind, "param": None, "code": code}}
    return reply(error, status, None if after is None else {"Retry-After": after})


def refusing(status: int, text: str = "no", code: str | None = None, after: str | None = None) -> Plan:
    return lambda _: refusal(status, text, code, after=after)


def direction(text: str) -> list[float]:
    """A vector by the words of a text: texts with words in common point the same way."""
    numbers = [0.0] * 256
    for word in text.lower().split():
        numbers[hashlib.sha256(word.encode()).digest()[0]] += 1.0
    return numbers
