"""The carrier: how a trace travels with a job. JSON text under the job's options, which is BullMQ's `tm` on Redis."""

import json
from collections.abc import Collection

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context

#: What a job may carry (bytes); of more only `traceparent` is left.
MOST = 1_024
_PARENT = "traceparent"


def packed(context: Context, allowed: Collection[str] = ()) -> str | None:
    """The carrier of a context, by the propagators of the application; None when there is no trace.

    Baggage stays out of the store but for the allowed keys: who fills it may think of a request's headers, not of a
    database that keeps `user=alice@example.com` for days.
    """
    if not trace.get_current_span(context).get_span_context().is_valid:
        return None
    kept = {key: value for key, value in baggage.get_all(context).items() if key in allowed}
    context = baggage.clear(context)
    for key, value in kept.items():
        context = baggage.set_baggage(key, value, context)
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    text = _text(carrier)
    if len(text.encode()) > MOST:
        text = _text({_PARENT: carrier[_PARENT]} if _PARENT in carrier else {})
    return text if text != "{}" and len(text.encode()) <= MOST else None


def unpacked(text: str | None) -> dict[str, str] | None:
    """A job's carrier; None when there is none, or none that can be read. A list of pairs is taken too."""
    if not text:
        return None
    try:
        found = json.loads(text)
        if isinstance(found, list):
            found = dict(found)
    except (ValueError, TypeError):
        return None
    if not isinstance(found, dict):
        return None
    return {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, str)} or None


def _text(carrier: dict[str, str]) -> str:
    return json.dumps(carrier, separators=(",", ":"))
