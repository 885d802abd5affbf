"""A change of a queue's settings, in the form in which `meta` (BullMQ's) and `settings` (corral's own) hold them."""

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from corral.options import GroupChange, GroupLimits, Hold, Keep, QueueSettings, RateLimit
from corral.timing import Millis

GROUPS = 200  #: changed by one call
_to_json = msgspec.json.Encoder(order="sorted").encode


class _Keep(Struct, omit_defaults=True):
    count: int | None = None
    age_ms: Millis | None = None


class Limit(Struct):
    """A rate limit as the scripts read it."""

    count: int
    per: Millis


class Bounds(Struct, omit_defaults=True):
    """What a group may do, as the scripts read it. Nothing empty: their JSON cannot tell `[]` from `{}`."""

    concurrency: int | None = None
    max_size: int | None = None
    rates: tuple[Limit, ...] = ()


class _Hold(Struct, omit_defaults=True, rename={"for_ms": "for"}):
    for_ms: Millis
    reason: str
    probe: bool = False


class _Group(Struct, omit_defaults=True, kw_only=True):
    id: str
    limits: str | bool | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    hold: _Hold | bool | UnsetType = UNSET


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
    more: str | bool | UnsetType = UNSET
    name_limits: str | bool | UnsetType = UNSET
    group_limits: str | bool | UnsetType = UNSET
    groups: list[_Group] | UnsetType = UNSET
    hold: _Hold | bool | UnsetType = UNSET


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
        more=_to_rates(settings.more_limits),
        name_limits=_to_name_limits(settings.name_limits),
        group_limits=_to_bounds(settings.group_limits),
        groups=UNSET if settings.groups is UNSET else [_to_group(*one) for one in settings.groups.items()],
        hold=_to_hold(settings.hold),
    )


def in_slices(all_of_it: Changes) -> list[Changes]:
    """The same in several calls when it changes many groups: 200 of them are 4 ms."""
    groups = all_of_it.groups
    if groups is UNSET or len(groups) <= GROUPS:
        return [all_of_it]
    slices = [groups[start : start + GROUPS] for start in range(0, len(groups), GROUPS)]
    return [replace(all_of_it, groups=slices[0]), *(Changes(groups=some) for some in slices[1:])]


def _to_limit(limit: RateLimit | None | UnsetType) -> Limit | bool | UnsetType:
    if limit is UNSET:
        return UNSET
    return False if limit is None else Limit(limit.count, limit.per_ms)


def _to_limits(rates: tuple[RateLimit, ...]) -> tuple[Limit, ...]:
    return tuple(Limit(rate.count, rate.per_ms) for rate in rates)


def _to_rates(rates: tuple[RateLimit, ...] | UnsetType) -> str | bool | UnsetType:
    if rates is UNSET:
        return UNSET
    return _to_json(_to_limits(rates)).decode() if rates else False


def _to_name_limits(names: dict[str, tuple[RateLimit, ...]] | UnsetType) -> str | bool | UnsetType:
    if names is UNSET:
        return UNSET
    limited = {name: _to_limits(rates) for name, rates in names.items() if rates}
    return _to_json(limited).decode() if limited else False


def _to_bounds(limits: GroupLimits | None | UnsetType) -> str | bool | UnsetType:
    if limits is UNSET or limits is None:
        return UNSET if limits is UNSET else False
    return _to_json(Bounds(limits.concurrency, limits.max_size, _to_limits(limits.rate_limits))).decode()


def _to_hold(hold: Hold | None | UnsetType) -> _Hold | bool | UnsetType:
    if hold is UNSET or hold is None:
        return UNSET if hold is UNSET else False
    return _Hold(hold.for_ms, hold.reason, hold.probe)


def _to_group(group: str, change: GroupChange) -> _Group:
    return _Group(id=group, limits=_to_bounds(change.limits), paused=change.paused, hold=_to_hold(change.hold))


def _to_names(names: dict[str, int] | UnsetType) -> str | bool | UnsetType:
    if names is UNSET:
        return UNSET
    return _to_json(names).decode() if names else False


def _to_keep(keep: Keep | UnsetType) -> str | UnsetType:
    if keep is UNSET:
        return UNSET
    return _to_json(_Keep(count=keep.count, age_ms=keep.age_ms)).decode()
