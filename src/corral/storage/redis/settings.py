"""A change of a queue's settings, in the form in which `meta` (BullMQ's) and `settings` (corral's own) hold them."""

import msgspec
from msgspec import UNSET, Struct, UnsetType

from corral.options import Keep, QueueSettings, RateLimit
from corral.timing import Millis

_to_json = msgspec.json.Encoder(order="sorted").encode


class _Keep(Struct, omit_defaults=True):
    count: int | None = None
    age_ms: Millis | None = None


class Limit(Struct):
    """A rate limit as the scripts read it."""

    count: int
    per: Millis


class Changes(Struct, omit_defaults=True, kw_only=True):
    """A change as `configure.lua` reads it. False takes a setting away; what is left out stays."""

    paused: bool | UnsetType = UNSET
    pause_reason: str | UnsetType = UNSET
    rate: Limit | bool | UnsetType = UNSET
    add: Limit | bool | UnsetType = UNSET
    concurrency: int | bool | UnsetType = UNSET
    names: str | bool | UnsetType = UNSET
    keep_completed: str | UnsetType = UNSET
    keep_failed: str | UnsetType = UNSET


def changes(settings: QueueSettings) -> Changes:
    """What is asked, in the form in which it is stored."""
    concurrency = settings.concurrency
    return Changes(
        paused=settings.paused,
        pause_reason=settings.pause_reason,
        rate=_to_limit(settings.rate_limit),
        add=_to_limit(settings.add_limit),
        concurrency=False if concurrency is None else concurrency,
        names=_to_names(settings.name_concurrency),
        keep_completed=_to_keep(settings.keep_completed),
        keep_failed=_to_keep(settings.keep_failed),
    )


def _to_limit(limit: RateLimit | None | UnsetType) -> Limit | bool | UnsetType:
    if limit is UNSET:
        return UNSET
    return False if limit is None else Limit(limit.count, limit.per_ms)


def _to_names(names: dict[str, int] | UnsetType) -> str | bool | UnsetType:
    if names is UNSET:
        return UNSET
    return _to_json(names).decode() if names else False


def _to_keep(keep: Keep | UnsetType) -> str | UnsetType:
    if keep is UNSET:
        return UNSET
    return _to_json(_Keep(count=keep.count, age_ms=keep.age_ms)).decode()
