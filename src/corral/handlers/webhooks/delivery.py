"""One attempt to tell one endpoint about one event: signed, sent, judged, recorded."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypedDict

from corral.handlers.kit.web import BlockedAddressError, Web, WebError, retry_after
from corral.handlers.webhooks.endpoints import Delivery, Endpoint, Endpoints, Outcome
from corral.handlers.webhooks.payload import DeliverWebhook, PruneWebhooks
from corral.handlers.webhooks.settings import WebhooksSettings
from corral.handlers.webhooks.signing import derived, sign
from corral.signals import Discard, Retry
from corral.timing import Clock, Millis, to_datetime
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.webhooks")

#: Seconds before the second attempt, the third, …: quick for a blip, patient with a bad night. 75 hours in all.
SCHEDULE = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
_WHY = 300

#: Tells the application that an endpoint was disabled. The id is the same in every attempt.
TellDisabled = Callable[[str, Endpoint], Awaitable[object]]


class DeliveryFailedError(WebError):
    """The endpoint did not take the event; the job's next attempt may have more luck."""


class Delivered(TypedDict):
    """The result of a job whose event was taken."""

    status: int
    endpointId: str
    eventId: str


class Pruned(TypedDict):
    """How much was forgotten."""

    events: int
    deliveries: int


class _Verdict(NamedTuple):
    outcome: Outcome
    status: int | None = None
    why: str = ""
    after: float | None = None  #: it asked for a rest
    gone: bool = False


def pause_before(attempt: int, error: BaseException) -> float:
    """The back-off: seconds after this attempt, from 1."""
    return SCHEDULE[min(attempt, len(SCHEDULE)) - 1]


class Deliverer:
    """Delivers events."""

    def __init__(
        self, settings: WebhooksSettings, endpoints: Endpoints, web: Web, *, clock: Clock,
        tell_disabled: TellDisabled | None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._endpoints = endpoints
        self._web = web
        self._clock = clock
        self._tell_disabled = tell_disabled

    async def deliver(self, ctx: JobContext, data: DeliverWebhook) -> Delivered:
        """Send one event to one endpoint, once as long as nothing goes wrong between its answer and our note of it.

        Then it is sent again, under the same `webhook-id`, by which its receiver knows it.

        Raises:
            Discard: the endpoint is gone, disabled, or not at a public address. Retry: it asks for a rest.
            DeliveryFailedError: it did not answer 2xx.
        """
        endpoint = await self._endpoints.find(data.endpoint_id)
        if endpoint is None:
            raise Discard(f"endpoint {data.endpoint_id} does not exist any more")
        if not self._settings.webhook_signing_key:
            raise Discard("nothing can be signed: set WEBHOOK_SIGNING_KEY, then run the job again")
        began, at = time.monotonic(), self._clock()
        verdict = await self._sent(endpoint, data, at) if endpoint.active else _Verdict("skipped", why="disabled")
        took = round((time.monotonic() - began) * 1_000)
        delivery = Delivery(
            job=ctx.id, attempt=ctx.attempt, event=data.event_id, endpoint=endpoint.id, type=data.event_type,
            outcome=verdict.outcome, status=verdict.status, why=verdict.why, took_ms=took, at=at,
        )  # fmt: skip
        give_up_ms = round(self._settings.webhook_disable_after_days * 86_400_000)
        disabled = await self._endpoints.record(delivery, give_up_ms=give_up_ms, gone=verdict.gone)
        logger.info(
            "Webhook %s", verdict.outcome,
            extra={"jobId": ctx.id, "endpoint": endpoint.id, "eventType": data.event_type, "status": verdict.status},
        )  # fmt: skip
        if disabled is not None:
            await self._disabled(disabled)
        return _settled(endpoint, data, verdict, disabled is not None)

    async def _sent(self, endpoint: Endpoint, data: DeliverWebhook, at: Millis) -> _Verdict:
        body = body_of(data)
        headers = {
            "content-type": "application/json",
            "webhook-id": data.event_id,
            "webhook-timestamp": str(at // 1_000),
            "webhook-signature": " ".join(self._signatures(endpoint, data.event_id, at, body)),
        }
        try:
            # Of an answer only the status counts: what else it says is neither read nor kept.
            async with self._web.lines(
                "POST", endpoint.url, headers=headers, content=body, timeout=self._settings.webhook_timeout
            ) as (head, _):
                status, rest = head.status, retry_after(head.headers.get("retry-after", ""))
        except BlockedAddressError as error:
            return _Verdict("blocked", why=str(error)[:_WHY])
        except WebError as error:
            return _Verdict("failed", status=error.status, why=str(error)[:_WHY])
        if 200 <= status < 300:
            return _Verdict("delivered", status)
        after = rest if status in (429, 503) else None
        return _Verdict("failed", status, f"answered {status}", after, gone=status == 410)

    def _signatures(self, endpoint: Endpoint, event_id: str, at: Millis, body: bytes) -> list[str]:
        """With every key that is known, and while the secret changes also with the one before."""
        generations = [endpoint.generation]
        if endpoint.old_secret_until is not None and at < endpoint.old_secret_until:
            generations.append(endpoint.generation - 1)
        return [
            sign(derived(key.get_secret_value(), endpoint.id, generation), event_id, at // 1_000, body)
            for key in self._settings.webhook_signing_key
            for generation in generations
        ]

    async def _disabled(self, endpoint: Endpoint) -> None:
        logger.warning("Webhook endpoint disabled", extra={"endpoint": endpoint.id, "reason": endpoint.disabled_why})
        if self._tell_disabled is not None:
            await self._tell_disabled(f"webhook-endpoint-{endpoint.id}-{endpoint.disabled_at}", endpoint)

    async def prune(self, ctx: JobContext, data: PruneWebhooks) -> Pruned:
        """Forget events and attempts that are old. Twice is as good as once."""
        before = self._clock() - round(timedelta(data.older_than_days).total_seconds() * 1_000)
        gone = await self._endpoints.prune(before)
        return {"events": gone["events"], "deliveries": gone["deliveries"]}


def _settled(endpoint: Endpoint, data: DeliverWebhook, verdict: _Verdict, disabled: bool) -> Delivered:
    if verdict.outcome == "delivered":
        assert verdict.status is not None
        return {"status": verdict.status, "endpointId": endpoint.id, "eventId": data.event_id}
    if verdict.outcome == "skipped":
        raise Discard(f"endpoint {endpoint.id} is disabled ({endpoint.disabled_why or 'by hand'})")
    if disabled:
        raise Discard(f"endpoint {endpoint.id} {verdict.why}, and was disabled")
    if verdict.outcome == "blocked":
        raise Discard(f"endpoint {endpoint.id} is at an address that is not gone to: {verdict.why}")
    if verdict.after is not None:
        raise Retry(f"endpoint {endpoint.id} {verdict.why}", after=verdict.after, pause="group")
    raise DeliveryFailedError(f"endpoint {endpoint.id}: {verdict.why}", status=verdict.status)


def body_of(data: DeliverWebhook) -> bytes:
    """What is sent: the same bytes in every attempt."""
    happened = to_datetime(data.created_at).astimezone(UTC)
    told = {"type": data.event_type, "timestamp": _iso(happened), "data": data.data}
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
