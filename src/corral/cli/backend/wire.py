"""The options of a job as the HTTP API takes them."""

from collections.abc import Mapping
from datetime import datetime

from corral.options import Dedup, Exponential, Fixed, Keep


def opts_of(options: Mapping[str, object]) -> dict[str, object]:
    """Options under the names of `add()`, as JSON."""
    made: dict[str, object] = {}
    for key, value in options.items():
        match key, value:
            case "delay", int() | float():
                made["delay_ms"] = round(value * 1000)
            case "at", datetime():
                made["run_at"] = value.isoformat()
            case "backoff", Fixed() | Exponential():
                made["backoff"] = _backoff(value)
            case (("keep_completed" | "keep_failed"), Keep()):
                made[key] = {"count": value.count, "age_ms": value.age_ms}
            case "dedup", Dedup():
                made["dedup"] = {"id": value.id} | ({} if value.ttl_ms is None else {"ttl_ms": value.ttl_ms})
            case "tags", _:
                made["tags"] = list(value) if isinstance(value, list | tuple) else [value]
            case _:
                made[key] = value
    return made


def _backoff(value: Fixed | Exponential) -> dict[str, object]:
    if isinstance(value, Fixed):
        return {"type": "fixed", "delay_ms": round(value.delay * 1000), "jitter": value.jitter}
    return {
        "type": "exponential", "delay_ms": round(value.delay * 1000), "maximum_ms": round(value.maximum * 1000),
        "jitter": value.jitter,
    }  # fmt: skip
