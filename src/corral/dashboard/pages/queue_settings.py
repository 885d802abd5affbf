"""The settings of a queue: what a form says is compared with what holds, and only what differs is changed."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.pages.queues import shown
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem

Typed = Mapping[str, str]
N = TypeVar("N", int, float)
SECOND_MS, HOUR_MS = 1_000, 3_600_000
#: The fields of the form. One that is left empty lifts what it is about.
FIELDS = (
    "global_concurrency", "rate_max", "rate_seconds", "add_max", "add_seconds", "completed_count", "completed_hours",
    "failed_count", "failed_hours", "description", "slo_seconds",
)  # fmt: skip
#: What is told beside the form, instead of a page about it.
BESIDE = (400, 409, 412, 422)


async def change(visit: Visit) -> Response:
    """Change what the form changes; what is wrong with it is told beside it, and nothing that was typed is lost."""
    fields = await fields_of(visit.request)
    typed = {name: first(fields, name).strip() for name in FIELDS}
    reason, version = first(fields, "reason"), first(fields, "_if", "*")
    at = f"/queues/{part(visit.part('q'))}"
    now = cast(Mapping[str, object], await visit.api.get(at))
    try:
        body = _changes(typed, now)
        if body:
            (await visit.api.send("PATCH", at, body=body, headers={"if-match": version})).must()
    except Problem as refused:
        if refused.status not in BESIDE or refused.code == "reason-required":
            raise
        return await shown(visit, "settings", status=refused.status, typed={**typed, "reason": reason}, refused=refused)
    return visit.go(f"{at}?tab=settings", done="Saved." if body else "Nothing was changed.")


def _changes(typed: Typed, now: Mapping[str, object]) -> dict[str, object]:
    """The request for what differs; null lifts a limit. Raises: Problem (400)."""
    details = cast(Mapping[str, object], now["details"])
    wanted = {
        "global_concurrency": (_whole(typed, "global_concurrency"), now["global_concurrency"]),
        "rate_limit": (_window(typed, "rate"), _same(now["rate_limit"], "max", "duration_ms")),
        "add_limit": (_window(typed, "add"), _same(details["add_limit"], "max", "duration_ms")),
        "keep_completed": (_kept(typed, "completed"), _same(details["keep_completed"], "count", "age_ms")),
        "keep_failed": (_kept(typed, "failed"), _same(details["keep_failed"], "count", "age_ms")),
        "description": (typed["description"] or None, now["description"]),
        "slo_seconds": (_number(typed, "slo_seconds"), now["slo_seconds"]),
    }
    nothing = {"count": None, "age_ms": None}
    return {
        name: value
        for name, (value, before) in wanted.items()
        if value != before and not (value == nothing and before is None)  # as declared, and nothing was said
    }


def _same(found: object, *keys: str) -> dict[str, object] | None:
    """What the API says of a setting, as the API takes it."""
    return None if found is None else {key: cast(Mapping[str, object], found)[key] for key in keys}


def _window(typed: Typed, name: str) -> dict[str, object] | None:
    most, seconds = _whole(typed, f"{name}_max"), _number(typed, f"{name}_seconds", SECOND_MS)
    if most is None and seconds is None:
        return None
    if most is None or seconds is None:
        raise Problem("invalid-parameter", "A limit needs both: how many, and in how many seconds.")
    return {"max": most, "duration_ms": seconds}


def _kept(typed: Typed, name: str) -> dict[str, object]:
    return {"count": _whole(typed, f"{name}_count"), "age_ms": _number(typed, f"{name}_hours", HOUR_MS)}


def _whole(typed: Typed, name: str) -> int | None:
    return _read(typed, name, int)


def _number(typed: Typed, name: str, unit: int = 0) -> float | None:
    """A number; of a length of time in this unit, its milliseconds."""
    found = _read(typed, name, float)
    return found if found is None or not unit else round(found * unit)


def _read(typed: Typed, name: str, kind: Callable[[str], N]) -> N | None:
    try:
        return kind(typed[name]) if typed[name] else None
    except (ValueError, OverflowError):
        raise Problem("invalid-parameter", f"{typed[name][:80]!r} is no number.") from None


PAGES = (("POST", "/queues/{q}/settings", change),)
