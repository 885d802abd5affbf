"""The first page: is anything wrong, and what is to be done about it?"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import Response

from corral.dashboard.spark import filled
from corral.dashboard.visit import Visit
from corral.dashboard.words import moment

#: The charts above the queues: the last hour, minute by minute.
MINUTES = 60
MINUTE_MS = 60_000
CHARTS = ("throughput", "failure_ratio", "wait_ms", "run_ms")
#: From how many times yesterday's number on one is said to be worse, unless it is below this: a share, milliseconds.
WORSE = 1.5
WORSE_FROM = {"failure_ratio": 0.01, "wait_ms": 1_000, "run_ms": 1_000}
#: How tables of queues can be sorted, and what they can be narrowed to.
SORTS = ("attention", "name", "waiting", "active", "failed", "oldest", "rate")
SHOWS = ("all", "busy", "problems")
#: Queues that are listed below the charts; where several are one row, as many as one answer has.
LISTED, MOST = 100, 500
#: Findings that are shown, and muted ones.
FINDINGS, MUTED = 20, 100
#: For how long a finding can be muted, in hours.
SILENCES = {"1 hour": 1, "8 hours": 8, "1 day": 24, "7 days": 168, "30 days": 720}


def listed(visit: Visit) -> dict[str, str]:
    """In which order which queues are to be listed, as the address says."""
    sort, show = visit.parameter("sort"), visit.parameter("show")
    return {"sort": sort if sort in SORTS else SORTS[0], "show": show if show in SHOWS else SHOWS[0]}


def included(visit: Visit) -> str:
    """What the API is to add to queues, for the columns of who looks."""
    return "trend" if "trend" in visit.view.columns else ""


async def overview(visit: Visit) -> Response:
    """What wants attention, how busy everything is, the queues."""
    api, wanted = visit.api, listed(visit)
    findings, muted, queues, stats, marks, schedules, *charts = await api.gather(
        f"/attention?limit={FINDINGS}", f"/attention?muted=true&limit={MUTED}",
        f"/queues?limit={MOST if visit.view.folds else LISTED}&include={included(visit)}&{urlencode(wanted)}",
        "/stats?window=15m&compare=24h", "/marks?limit=500", "/schedules?limit=100",
        *(f"/metrics/series?metric={one}&from=1h&step=1m&agg=p95" for one in CHARTS),
    )  # fmt: skip
    drawn = {
        name: values_of(cast(Mapping[str, object], reply.json))
        for name, reply in zip(CHARTS, charts, strict=True)
        if reply.status < 400
    }
    return await visit.page(
        "overview.html", title="Overview", active="overview", findings=findings.must(), queues=queues.must(),
        muted=_muted(muted.must()), silences={text: visit.now + timedelta(hours=n) for text, n in SILENCES.items()},
        sorts=SORTS, shows=SHOWS, sort=wanted["sort"], show=wanted["show"],
        numbers=stats.json if stats.status < 400 else None, charts=drawn,
        than=_than(stats.json) if stats.status < 400 else {},
        marks=_newest(marks.json) if marks.status < 400 else [],
        upcoming=_upcoming(schedules.json) if schedules.status < 400 else [],
    )  # fmt: skip


class Than(Struct, frozen=True):
    """A number at the same time yesterday, and what has become of it."""

    was: float
    change: float | None = None  #: as a share; None: there is nothing to compare with
    worse: bool = False


def _than(stats: object) -> dict[str, Than]:
    """The head numbers a day before, by the name of their chart; those of which nothing was recorded are left out."""
    now = cast(Mapping[str, object], stats)
    before = cast("Mapping[str, object] | None", now["earlier"])
    if before is None or cast(Mapping[str, object], before["rates"])["source"] == "none":
        return {}
    found: dict[str, Than] = {}
    for name in CHARTS:
        is_now, was = _figure(now, name), _figure(before, name)
        if was is None:
            continue
        change = None if not was or is_now is None else is_now / was - 1
        worse = name != "throughput" and is_now is not None and is_now > max(was * WORSE, WORSE_FROM[name])
        found[name] = Than(was, change, worse)
    return found


def _figure(stats: Mapping[str, object], name: str) -> float | None:
    if name == "throughput":
        return cast("Mapping[str, float]", stats["rates"])["done_per_min"]
    if name == "failure_ratio":
        return cast("float | None", stats[name])
    return cast("Mapping[str, float | None]", stats[name])["p95"]


def values_of(chart: Mapping[str, object]) -> list[list[float | None]]:
    """Each line of a chart, a value for each minute of the last hour."""
    until = int(moment(str(chart["until"])).timestamp() * 1000)
    since = (until // MINUTE_MS - MINUTES + 1) * MINUTE_MS
    lines = cast("Sequence[Mapping[str, Sequence[Sequence[float | None]]]]", chart["series"])
    return [filled(line["points"], since, MINUTE_MS, MINUTES) for line in lines]


def _muted(findings: object) -> list[Mapping[str, object]]:
    """Those of all findings of which nobody is to speak for a while."""
    found = cast("Mapping[str, list[Mapping[str, object]]]", findings)["items"]
    return [one for one in found if one["muted_until"]]


def _newest(marks: object) -> list[Mapping[str, object]]:
    found = cast("Mapping[str, list[Mapping[str, object]]]", marks)["items"]
    return found[-1:]


def _upcoming(schedules: object) -> list[Mapping[str, object]]:
    """The next few runs of all schedules."""
    found = cast("Mapping[str, list[Mapping[str, object]]]", schedules)["items"]
    due = [one for one in found if one["next_at"] and one["state"] in ("active", "overdue")]
    return sorted(due, key=lambda one: str(one["next_at"]))[:4]


PAGES = (("GET", "/", overview),)
