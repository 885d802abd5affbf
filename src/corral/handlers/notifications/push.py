"""Pushes to browsers: handed to the push service that each of them chose."""

import json
from collections.abc import Mapping

from corral.errors import PayloadError
from corral.handlers.kit.web import BlockedAddressError, Web, check
from corral.handlers.notifications.payload import Subscription, Urgency
from corral.handlers.notifications.webpush import MAX_PLAIN, Browser, Vapid, encrypt
from corral.timing import Clock, now_ms

#: The browser is gone, or its user has had enough.
_GONE = frozenset({404, 410})


class Pusher:
    """Sends pushes. Endpoints come from browsers, so that the Web which asks them must trust no private address."""

    def __init__(self, web: Web, vapid: Vapid, *, ttl: int = 86_400, clock: Clock = now_ms) -> None:
        self._web = web
        self._vapid = vapid
        self._ttl = ttl
        self._clock = clock

    async def push(
        self, subscription: Subscription, content: Mapping[str, object], *, topic: str, urgency: Urgency = "normal"
    ) -> bool:
        """Send one; False when the browser is not there any more. One with the same topic takes the place of another.

        Raises:
            BusyError: too many; it says how long. WebError: not now. RefusedError: never.
        """
        try:
            body = encrypt(plain(content), Browser.of(subscription))
        except PayloadError:
            return False  # keys that no browser has: nobody could read it
        headers = {
            "Authorization": self._vapid.authorization(subscription.endpoint, self._clock()),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(self._ttl),
            "Topic": topic[:32],
            "Urgency": urgency,
        }
        try:
            answer = await self._web.request("POST", subscription.endpoint, headers=headers, content=body)
        except BlockedAddressError:
            return False
        if answer.status in _GONE:
            return False
        check(answer, "the push service")
        return True


def plain(content: Mapping[str, object]) -> bytes:
    """What the browser's service worker gets: JSON, its `body` cut to what a push may carry."""
    text, body = _json(content), str(content.get("body", ""))
    while len(text) > MAX_PLAIN and body:
        body = body[: len(body) * 3 // 4]
        text = _json({**content, "body": f"{body}…" if body else ""})
    # A title always has room; where it leads may have none.
    return text if len(text) <= MAX_PLAIN else _json({"title": content.get("title", ""), "body": ""})


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
