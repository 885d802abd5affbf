"""Webhooks that come in: verified, stored as a job and answered within milliseconds; worked on afterwards.

The order matters. What cannot prove where it comes from never becomes a job, so nobody can fill the queue from outside;
and the work waits for the queue, so nobody's server waits for the work.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Unpack
from urllib.parse import parse_qsl

import msgspec

from corral.app.app import Corral
from corral.app.queues import QueueKeywords
from corral.errors import ConfigError, PayloadError, QueueFullError, StorageError
from corral.handlers.webhooks.asgi import Mounted
from corral.handlers.webhooks.dispatch import Dispatch, EventHandler
from corral.handlers.webhooks.payload import WebhookEvent
from corral.handlers.webhooks.schemes import SLACK, Proof, SignatureError, Source, verify
from corral.handlers.webhooks.settings import WebhooksSettings, sources_of
from corral.handlers.webhooks.signing import fingerprint
from corral.options import Dedup, Exponential
from corral.timing import Clock, now_ms

logger = logging.getLogger("corral.handlers.webhooks")

#: So long a delivery is remembered: the same one again is acknowledged and forgotten.
REMEMBERED = 86_400.0
#: So long the store may take: senders give up after 5 to 10 seconds and come again.
STORE_PATIENCE = 2.0
JOB = "webhook-processing"

#: Who sends under a name: a table, or a question to whoever keeps the integrations.
Sources = Mapping[str, Source] | Callable[[str], Awaitable[Source | None]]


class Reply(NamedTuple):
    """What to answer, in whatever framework."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


class Receiver:
    """Takes webhooks in, in whatever web framework, and runs the handlers registered for them.

    Example:
        receiver = Receiver(app, {"shopify": shopify(secret)})

        @receiver.on("shopify", "orders/*")
        async def order(ctx: JobContext, event: WebhookEvent) -> None: ...

        reply = await receiver.receive("shopify", request.headers, await request.body())

    Args:
        sources: who may send, by the name in the address; by default whom the settings have a secret for. A function
            is asked for each delivery: for integrations that are kept in a database.
        queue: where deliveries wait. It is declared with `queue_options`, unless it is there already.
        remembered: seconds for which the same delivery again adds nothing.

    Raises:
        ConfigError: settings that cannot be meant.
    """

    def __init__(
        self, app: Corral, sources: Sources | None = None, *, settings: WebhooksSettings | None = None,
        queue: str = JOB, clock: Clock = now_ms, remembered: float = REMEMBERED,
        **queue_options: Unpack[QueueKeywords],
    ) -> None:  # fmt: skip
        if settings is None:
            settings = WebhooksSettings.load()
        self.max_bytes = settings.webhook_max_bytes
        self._sources = sources_of(settings) if sources is None else sources
        self._clock = clock
        self._remembered = remembered
        self._dispatch = Dispatch()
        bundle = self._dispatch.bundle(JOB, queue, attempts=3, backoff=Exponential(2), timeout=30)
        self.queue = app.include(bundle, **queue_options)
        self._job = self.queue.definition(JOB)
        self.asgi = Mounted(self)  #: an ASGI application: POST to `…/<source>`

    def __repr__(self) -> str:
        return f"<Receiver on {self.queue.name}>"

    def on(self, platform: str, *patterns: str) -> Callable[[EventHandler], EventHandler]:
        """Call the decorated function `(ctx, event)` for events of a platform: `orders/*`, `invoice.paid`, `*`.

        Every function whose pattern fits is called, in the order they were declared. One that was called in an earlier
        attempt and came to its end is not called again.
        """
        return self._dispatch.on(platform, *(patterns or ("*",)))

    async def receive(self, source: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Verify a delivery over its raw body, store it, answer.

        200 once it is stored (or was before), 401 when it cannot prove where it comes from, 404 for an unknown source,
        413 when it is too long, 400 when it is not what it says, 503 when it could not be stored in two seconds. The
        sender comes again after a 503, and is told nothing by a 401.
        """
        known = await self._sources(source) if callable(self._sources) else self._sources.get(source)
        if known is None:
            return _refusal(404, "unknown source")
        if len(body) > self.max_bytes:
            return _refusal(413, f"more than {self.max_bytes} bytes")
        lower = {str(name).lower(): str(value) for name, value in headers.items()}
        try:
            proof = verify(known, lower, body, self._clock())
        except SignatureError as error:
            logger.warning(
                "Webhook of %s refused: %s", source, error,
                extra={"source": source, "reason": str(error), "bytes": len(body)},
            )  # fmt: skip
            return _refusal(401, "not authentic")
        try:
            payload = parsed(body, lower.get("content-type", ""))
        except ValueError:
            return _refusal(400, "neither JSON nor a form")
        if known.scheme.platform == SLACK.platform and (challenge := _challenge(payload)) is not None:
            return Reply(200, challenge.encode(), (("content-type", "text/plain"),))
        try:
            event, key = _event(known, lower, proof, payload, body)
        except ValueError:
            return _refusal(400, "an id or type that cannot be meant")
        return await self._add(source, event, key)

    async def _add(self, source: str, event: WebhookEvent, key: str) -> Reply:
        job_id = f"wh-{fingerprint(source.encode(), key.encode())}"
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                handle = await self._job.add(
                    event, id=job_id, group=f"{source}/{event.integration_id or event.organization_id or ''}"[:256],
                    dedup=Dedup(job_id, ttl=self._remembered),
                )  # fmt: skip
        except PayloadError as error:
            reason = str(error)[:200]
            logger.warning("Webhook of %s refused: %s", source, reason, extra={"source": source, "reason": reason})
            return _refusal(400, "a payload that cannot be stored")
        except (StorageError, QueueFullError, TimeoutError) as error:
            # It may be there after all. The sender comes again, and finds the job under the same id.
            logger.error("Webhook not stored", extra={"source": source, "reason": str(error) or "no answer in time"})
            return _refusal(503, "come again", ("retry-after", "5"))
        logger.info(
            "Webhook received" if handle.fresh else "Webhook received before",
            extra={"jobId": handle.id, "source": source, "eventType": event.event_type},
        )
        return Reply(200, b'{"received":true}')


def parsed(body: bytes, content_type: str) -> object:
    """A body as JSON, or a form as a record; the JSON in a form's field `payload` is unpacked. Raises: ValueError."""
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        form: dict[str, object] = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1_000))
        packed = form.get("payload")
        if isinstance(packed, str):
            form["payload"] = _json(packed.encode())
        return form
    return _json(body)


def _json(body: bytes) -> object:
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValueError("not JSON") from None
    return value


def _challenge(payload: object) -> str | None:
    """What Slack wants to see when an address is entered; it signs the question like everything else."""
    if isinstance(payload, dict) and payload.get("type") == "url_verification":
        challenge = payload.get("challenge")
        if isinstance(challenge, str) and len(challenge) <= 500 and challenge.isprintable():
            return challenge
    return None


def _event(
    source: Source, headers: Mapping[str, str], proof: Proof, payload: object, body: bytes
) -> tuple[WebhookEvent, str]:
    """The event, and what it is remembered by.

    That is made of what the signature covers, not of headers that anybody may change while sending it again; except
    for the kind of event, without which two kinds with the same content would be one.
    """
    scheme = source.scheme
    kind = event_type(source, headers, payload)
    key = proof.id if scheme.id_is_signed else fingerprint(kind.encode(), body)
    found = payload.get("id") if isinstance(payload, dict) else None
    event = WebhookEvent(
        platform=scheme.platform,
        event_type=kind,
        payload=payload,
        signature=proof.signature[:2_000],
        organization_id=source.organization_id,
        integration_id=source.integration_id,
        delivery_id=proof.id[:200] or (found if isinstance(found, str) and 0 < len(found) <= 200 else key),
    )
    return event, key


def event_type(source: Source, headers: Mapping[str, str], payload: object) -> str:
    """What kind of event it is: `orders/create`, `invoice.paid`, `pull_request.opened`; `unknown` when nobody says."""
    scheme = source.scheme
    if scheme.event:
        kind = headers.get(scheme.event, "")
        action = payload.get("action") if isinstance(payload, dict) else None
        if scheme.platform == "github" and kind and isinstance(action, str):
            kind = f"{kind}.{action}"
        return kind or "unknown"
    return next(filter(None, (_text_at(payload, path) for path in scheme.fields)), "unknown")


def _text_at(payload: object, path: str) -> str:
    value = payload
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None and isinstance(payload, dict) and isinstance(payload.get("payload"), dict):
        inner = payload["payload"].get(path)  # what a form had packed
        value = inner if "." not in path else None
    return value if isinstance(value, str) else ""


def _refusal(status: int, why: str, *headers: tuple[str, str]) -> Reply:
    body = json.dumps({"received": False, "error": why}).encode()
    return Reply(status, body, (("content-type", "application/json"), *headers))


def check_source_name(name: str) -> str:
    """A source's name as it stands in an address. Raises: ConfigError."""
    if not name or len(name) > 100 or not all(char.isalnum() or char in "-_." for char in name):
        raise ConfigError(f"a source's name is letters, digits, - _ and ., not {name!r}", key="sources")
    return name
