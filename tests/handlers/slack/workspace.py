"""A Slack workspace as its Web API shows it: pages with cursors, threads, limits and refusals."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TOKEN = "xoxb-canary-1"
Record = dict[str, Any]
#: Read once: a test that crosses a second must not see other times.
_EARLIER = int(time.time()) - 10_000


def ts(number: int) -> str:
    """The time of a message of today: the `number`th of them."""
    return f"{_EARLIER + number}.{number:06}"


class Workspace:
    """Answers on `/api/…` what it was told there is."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/api/")
        self.users: list[Record] = []
        self.channels: list[Record] = []
        self.messages: dict[str, list[Record]] = {}  #: top-level ones
        self.replies: dict[str, list[Record]] = {}  #: by the parent's ts
        self.posted: list[Record] = []
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self._failures: dict[str, list[tuple[int, Response]]] = {}  #: method -> (calls still let through, answer)
        self._lock = threading.Lock()
        server.expect_request(re.compile("/api/.*")).respond_with_handler(self._answer)

    # -- what there is -----------------------------------------------------------------------------------------------

    def person(self, id: str, **facts: Any) -> None:
        profile = {"real_name": f"{id} Real", "email": f"{id.lower()}@example.org", "title": "Cook"}
        self.users.append({"id": id, "name": id.lower(), "tz": "Europe/Oslo", "profile": profile, **facts})

    def channel(self, id: str, *, is_member: bool = True, is_archived: bool = False) -> None:
        self.channels.append(
            {"id": id, "name": id.lower(), "topic": {"value": "Talk"}, "num_members": 3, "is_private": False,
             "is_member": is_member, "is_archived": is_archived}
        )  # fmt: skip
        self.messages.setdefault(id, [])

    def say(self, channel: str, number: int, text: str = "hello", **facts: Any) -> str:
        self.messages.setdefault(channel, []).append(
            {"type": "message", "ts": ts(number), "user": "U1", "text": text, **facts}
        )
        return ts(number)

    def reply(self, channel: str, parent: str, number: int) -> None:
        record = {"type": "message", "ts": ts(number), "user": "U2", "text": "reply", "thread_ts": parent}
        self.replies.setdefault(parent, []).append(record)
        for one in self.messages[channel]:
            if one["ts"] == parent:
                one["reply_count"] = one.get("reply_count", 0) + 1
                one["thread_ts"] = parent

    def fail(
        self, method: str, error: str = "", *, status: int = 200, headers: Mapping[str, str] | None = None,
        after: int = 0, **more: str,
    ) -> None:  # fmt: skip
        """Answer one call with an error, after so many that go well."""
        body = json.dumps({"ok": False, "error": error, **more}) if error else "<html>Oops</html>"
        response = Response(body, status=status, headers=dict(headers or {}), content_type="application/json")
        self._failures.setdefault(method, []).append((after, response))

    def calls(self, method: str) -> int:
        return Counter(name for name, _ in self.asked)[method]

    # -- what it answers ---------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        method = request.path.removeprefix("/api/")
        asked: dict[str, Any] = {**request.args.to_dict(), **request.form.to_dict()}
        if request.is_json and request.get_data():
            asked |= request.get_json()
        with self._lock:
            self.asked.append((method, asked))
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return _json({"ok": False, "error": "invalid_auth"})
            failure = self._failure(method)
            return failure if failure is not None else _json({"ok": True, **self._found(method, asked)})

    def _failure(self, method: str) -> Response | None:
        waiting = self._failures.get(method, [])
        for at, (after, response) in enumerate(waiting):
            if after == 0:
                del waiting[at]
                return response
            waiting[at] = (after - 1, response)
        return None

    def _found(self, method: str, asked: Mapping[str, Any]) -> Record:
        match method:
            case "users.list":
                return _page("members", self.users, asked)
            case "conversations.list":
                return _page("channels", self.channels, asked)
            case "conversations.history":
                newest_first = sorted(self.messages[asked["channel"]], key=lambda one: one["ts"], reverse=True)
                since = [one for one in newest_first if one["ts"] > asked["oldest"]]
                return _page("messages", since, asked)
            case "conversations.replies":
                parent = [one for one in self.messages[asked["channel"]] if one["ts"] == asked["ts"]]
                return _page("messages", [*parent, *self.replies.get(asked["ts"], [])], asked)
            case "chat.postMessage":
                self.posted.append(dict(asked))
                return {"channel": "C1", "ts": ts(len(self.posted))}
            case "conversations.create":
                return {"channel": {"id": "C-new", "name": asked["name"]}}
            case _:
                return {}


def _page(key: str, records: Sequence[Record], asked: Mapping[str, Any]) -> Record:
    start, size = int(asked.get("cursor") or 0), int(asked.get("limit") or 100)
    end = start + size
    return {
        key: list(records[start:end]),
        "response_metadata": {"next_cursor": str(end) if end < len(records) else ""},
    }


def _json(body: Record) -> Response:
    return Response(json.dumps(body), content_type="application/json")
