"""A queue's settings as they are stored: what BullMQ knows in `meta`, the rest in corral's own hash."""

import logging
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.options import Keep, RateLimit
from corral.storage.port import QueueInfo
from corral.timing import Millis

logger = logging.getLogger("corral.storage")


class _Kept(Struct):
    count: int | None = None
    age_ms: Millis | None = None


_decode_kept = msgspec.json.Decoder(_Kept).decode
_decode_names = msgspec.json.Decoder(dict[str, int]).decode


def queue_info(name: str, fields: Mapping[str, str]) -> QueueInfo:
    """A queue as the fields of both hashes say it stands. Settings that mean nothing are left out: others write too."""
    return QueueInfo(
        name=name,
        paused="paused" in fields,
        pause_reason=fields.get("pause_reason", ""),
        rate_limit=_limit(fields.get("max"), fields.get("duration", "1000")),
        add_limit=_limit(fields.get("add_count"), fields.get("add_per", "1000")),
        concurrency=_number(fields.get("concurrency")),
        name_concurrency=_names(name, fields.get("names")),
        keep_completed=_keep(name, fields.get("keep_completed")),
        keep_failed=_keep(name, fields.get("keep_failed")),
    )


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        return None


def _limit(count: str | None, per_ms: str) -> RateLimit | None:
    number, per = _number(count), _number(per_ms)
    if number is None or per is None:
        return None
    try:
        return RateLimit(number, per=per / 1000)
    except ConfigError:
        return None


def _names(queue: str, text: str | None) -> dict[str, int]:
    try:
        return {} if text is None else _decode_names(text)
    except msgspec.MsgspecError as error:
        logger.warning("queue %r: its caps by name cannot be read: %s", queue, error)
        return {}


def _keep(queue: str, text: str | None) -> Keep | None:
    try:
        kept = None if text is None else _decode_kept(text)
    except msgspec.MsgspecError as error:
        logger.warning("queue %r: what it keeps cannot be read: %s", queue, error)
        return None
    if kept is None:
        return None
    return Keep(age=None if kept.age_ms is None else kept.age_ms / 1000, count=kept.count)
