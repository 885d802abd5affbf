"""A queue's settings as they are stored: what BullMQ knows in `meta`, the rest in corral's own hash."""

import logging
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.options import GroupLimits, Keep, RateLimit
from corral.storage.insight import GroupInfo
from corral.storage.port import QueueInfo
from corral.storage.redis.settings import Bounds, Limit
from corral.timing import Millis

logger = logging.getLogger("corral.storage")


class _Kept(Struct):
    count: int | None = None
    age_ms: Millis | None = None


class _Own(Struct):
    """What a group has of its own, as `lib/limits.lua` writes it."""

    limits: Bounds | None = None
    paused: bool = False
    held_until: float | None = None
    reason: str = ""
    probe: bool = False


_decode_rates = msgspec.json.Decoder(tuple[Limit, ...]).decode
_decode_name_limits = msgspec.json.Decoder(dict[str, tuple[Limit, ...]]).decode
_decode_bounds = msgspec.json.Decoder(Bounds).decode
_decode_own = msgspec.json.Decoder(_Own).decode
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
        more_limits=_more(name, fields.get("more")),
        name_limits=_name_limits(name, fields.get("name_limits")),
        group_limits=_bounds(name, fields.get("group_limits")),
        held_until=_number(fields.get("hold_until")),
        hold_reason=fields.get("hold_reason", ""),
        probing="hold_probe" in fields,
        limited_until=_number(fields.get("limited_until")),
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


def _unread(queue: str, what: str, error: msgspec.MsgspecError) -> None:
    logger.warning("queue %r: %s cannot be read: %s", queue, what, error)


def _more(queue: str, text: str | None) -> tuple[RateLimit, ...]:
    try:
        return () if text is None else _rates(_decode_rates(text))
    except msgspec.MsgspecError as error:
        _unread(queue, "its further limits", error)
        return ()


def _name_limits(queue: str, text: str | None) -> dict[str, tuple[RateLimit, ...]]:
    try:
        found = {} if text is None else _decode_name_limits(text)
    except msgspec.MsgspecError as error:
        _unread(queue, "its limits by name", error)
        return {}
    return {name: _rates(limits) for name, limits in found.items()}


def _bounds(queue: str, text: str | None) -> GroupLimits | None:
    try:
        return None if text is None else _to_limits(_decode_bounds(text))
    except msgspec.MsgspecError as error:
        _unread(queue, "the limits of its groups", error)
        return None


def _rates(limits: tuple[Limit, ...]) -> tuple[RateLimit, ...]:
    return tuple(RateLimit(one.count, per=one.per / 1000) for one in limits)


def _to_limits(bounds: Bounds) -> GroupLimits:
    return GroupLimits(
        concurrency=bounds.concurrency, max_size=bounds.max_size, rate_limits=_rates(bounds.rates)
    )  # fmt: skip


def group_info(queue: str, group: str, waiting: int, active: int, stored: str, free_at: float) -> GroupInfo:
    """A group as it stands; `free_at` below 0 when it is not rate limited."""
    try:
        own = _decode_own(stored) if stored else _Own()
    except msgspec.MsgspecError as error:
        _unread(queue, f"what group {group!r} has of its own", error)
        own = _Own()
    return GroupInfo(
        id=group, waiting=waiting, active=active, paused=own.paused,
        limits=None if own.limits is None else _to_limits(own.limits),
        held_until=None if own.held_until is None else int(own.held_until),
        hold_reason=own.reason, probing=own.probe, free_at=int(free_at) if free_at >= 0 else None,
    )  # fmt: skip
