"""Pushes to browsers: handed to the push service that each of them chose."""

import json
from collections.abc import Mapping

from corral.errors import PayloadError
from corral.handlers.kit.web import BlockedAddressError, RefusedError, Web, check
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
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) <= MAX_PLAIN:
        return text
    message = str(content.get("body", "")).encode()
    room = max(0, len(message) - (len(text) - MAX_PLAIN) - 200)  # what escapes take, and the mark
    shorter = message[: room or None].decode("utf-8", "ignore") + "…" if room else ""
    cut = json.dumps({**content, "body": shorter}, ensure_ascii=False, separators=(",", ":")).encode()
    if len(cut) > MAX_PLAIN:
        raise RefusedError(f"a push has {MAX_PLAIN:,} bytes at most")
    return cut
