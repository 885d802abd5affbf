"""How each service signs, written down once more and without the code under test."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping

from corral.handlers.webhooks import Source, generic, github, shopify, slack, standard, stripe

NOW = 1_760_000_000  # seconds
SECRET = "a-secret-for-tests-only"
STANDARD_SECRET = "whsec_" + base64.b64encode(SECRET.encode()).decode()

Signed = Callable[[bytes, int, str], dict[str, str]]


def mac(secret: str, content: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), content, getattr(hashlib, algorithm)).digest()


def by_shopify(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    signature = base64.b64encode(mac(secret, body)).decode()
    return {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4"}


def by_stripe(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    return {"Stripe-Signature": f"t={at},v1={mac(secret, f'{at}.'.encode() + body).hex()},v0=6ffbb59b"}


def by_github(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    signature = f"sha256={mac(secret, body).hex()}"
    return {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3"}


def by_slack(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    signature = "v0=" + mac(secret, f"v0:{at}:".encode() + body).hex()
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(at)}


def by_standard(body: bytes, at: int = NOW, secret: str = SECRET, id: str = "msg_1") -> dict[str, str]:
    signature = "v1," + base64.b64encode(mac(secret, f"{id}.{at}.".encode() + body)).decode()
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature}


def by_other(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    return {"X-Signature": "hmac " + mac(secret, body, "sha512").hex()}


def other(secrets: object = SECRET) -> Source:
    return generic(secrets, header="X-Signature", algorithm="sha512", prefix="hmac ", platform="billing")  # type: ignore[arg-type]  # one secret or several


#: Who sends, what they send, and the source that takes it.
SENDERS: Mapping[str, tuple[Signed, bytes, Callable[..., Source]]] = {
    "shopify": (by_shopify, b'{"id": 820982911946154508, "total_price": "10.00"}', shopify),
    "stripe": (by_stripe, b'{"id": "evt_1", "type": "invoice.paid", "data": {"object": {}}}', stripe),
    "github": (by_github, b'{"ref": "refs/heads/main", "commits": []}', github),
    "slack": (by_slack, b'{"type": "event_callback", "event": {"type": "message"}}', slack),
    "standard": (by_standard, b'{"type": "user.created", "data": {"name": "\xc3\x85se"}}', standard),
    "other": (by_other, b'{"event": "paid", "n": 1}', other),
}
TIMED = ("stripe", "slack", "standard")


def secret_for(name: str, text: str = SECRET) -> str:
    return "whsec_" + base64.b64encode(text.encode()).decode() if name == "standard" else text


def event_of(body: bytes) -> dict[str, object]:
    found = json.loads(body)
    assert isinstance(found, dict)
    return found
