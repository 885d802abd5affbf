"""The API itself, all queues together, what wants attention, marks, completion."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse, Response

from corral._version import __version__
from corral.admin.rights import Permission
from corral.errors import RecordNotFoundError
from corral.http.additions import run_at_ms
from corral.http.advice import ADVICE, POLICY, advice_page
from corral.http.bodies import refusing
from corral.http.deps import allow, problem, public
from corral.http.models.base import Listing, moment, seconds
from corral.http.models.documented import shown
from corral.http.models.failures import MuteBody
from corral.http.models.links import part, queue_path, schedule_path
from corral.http.models.meta import (
    Completion,
    Earlier,
    FindingInfo,
    MarkBody,
    MarkInfo,
    ProblemInfo,
    Remedy,
    Root,
    Stats,
    TotalsInfo,
    finding_of,
    mark_of,
)
from corral.http.models.queues import percentiles, rates_of
from corral.http.paging import Asked, Key, cut, listing
from corral.http.problems import Problem
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, engine_of, told
from corral.http.scope import concerns, covered
from corral.http.spans import span_of
from corral.monitor.numbers import together
from corral.monitor.objects import Finding, Overview, QueueRow, Spread
from corral.timing import Millis

router = Router(tags=["Overview"])

FEATURES = ("queues", "jobs", "bulk", "export", "failures", "flows", "schedules", "workers", "series", "operations",
            "audit", "tokens", "marks", "events")  # fmt: skip
PARTS = ("queues", "jobs", "failures", "flows", "schedules", "workers", "operations", "attention", "stats", "marks",
         "audit", "tokens", "system")  # fmt: skip
#: Where a finding's remedy is one request, that request.
_HREFS = {
    "paused-backlog": ("POST", "{queue}/resume"),
    "held": ("DELETE", "{queue}/rate-limit"),
    "schedule-lost": ("POST", "{schedule}/repair"),
    "schedule-overdue": ("GET", "{schedule}"),
    "failed": ("POST", "{queue}/retry"),
    "failure-share": ("GET", "{base}/failures?queue={name}"),
}
#: Findings that are about neither a queue nor a worker.
_OF_THE_STORE = ("evictions", "eviction-policy")
#: Over which `/stats` may be asked for rates and times.
WINDOWS: frozenset[Millis] = frozenset({900_000, 3_600_000, 86_400_000})
#: With what they may be compared: the longest of them must lie within two days then.
MOST_AGO_MS: Millis = 86_400_000
_WORST = {"critical": 0, "warning": 1, "note": 2}


@router.get(
    "/", operation_id="get_root", response_model=shown(Root), responses=told(),
    dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def get_root(call: Called) -> Response:
    """What this is."""
    links = {name: f"{call.base}/{name}" for name in PARTS}
    return answer(
        Root(name="corral", version=__version__, engine=await engine_of(call.api), features=FEATURES, links=links)
    )


@router.get(
    "/problems/{code}", operation_id="get_problem", response_model=shown(ProblemInfo),
    responses=told("not-found") | {200: {"content": {"text/html": {}}, "description": "For people, as a page"}},
    dependencies=[public()],
)  # fmt: skip
async def get_problem(request: Request, code: str) -> Response:
    """What a problem means and what to do about it.

    Problems name this address as `help`.
    """
    if code not in ADVICE:
        problem("not-found", "No problem has this code.")
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(advice_page(code), headers={"Content-Security-Policy": POLICY})
    found, (meaning, remedy) = Problem(code), ADVICE[code]
    return answer(
        ProblemInfo(
            type=found.urn, code=code, status=found.status, title=found.title, meaning=meaning, remedy=remedy
        )
    )  # fmt: skip


@router.get(
    "/stats", operation_id="get_stats", response_model=shown(Stats), responses=told("queue-not-found"),
    dependencies=[allow(Permission.METRICS_READ, queue=None)],
)  # fmt: skip
async def get_stats(
    call: Called,
    window: Annotated[
        str | None, Query(max_length=20, description="Rates and times over `15m`, `1h` or `24h`, also in seconds.")
    ] = None,
    compare: Annotated[
        str | None, Query(max_length=20, description="With `window`: also the same window so long ago, at most a day.")
    ] = None,
) -> Response:
    """All queues together, at most a second old."""
    length = None if window is None else _window(window)
    stats = _stats(await call.api.monitor.overview(), call)
    if length is None:
        if compare is not None:
            problem("invalid-parameter", "compare needs a window to compare with.", parameter="compare")
        return answer(stats)
    found = await call.api.monitor.figures(length, visible=call.globs)
    earlier = None if compare is None else await _earlier(call, length, round(span_of(compare, "compare") * 1000))
    return answer(
        replace(
            stats, window_ms=length, rates=rates_of(found.rates), failure_ratio=found.rates.failure_share,
            wait_ms=percentiles(found.wait), run_ms=percentiles(found.run), complete=found.complete, earlier=earlier,
        )
    )  # fmt: skip


async def _earlier(call: Caller, length: Millis, ago: Millis) -> Earlier:
    """The figures of a window so long ago. Raises: Problem: 400, longer ago than minutes are kept."""
    if not 60_000 <= ago <= MOST_AGO_MS:
        problem("invalid-parameter", "compare must be a minute to a day, such as 24h.", parameter="compare")
    found = await call.api.monitor.figures(length, visible=call.globs, ago_ms=ago)
    return Earlier(
        ago_ms=ago, rates=rates_of(found.rates), failure_ratio=found.rates.failure_share,
        wait_ms=percentiles(found.wait), run_ms=percentiles(found.run), complete=found.complete,
    )  # fmt: skip


def _window(text: str) -> Millis:
    length = round(span_of(text, "window") * 1000)
    if length not in WINDOWS:
        problem("invalid-parameter", f"window must be 15m, 1h or 24h, not {text!r}.", parameter="window")
    return length


def _stats(all_: Overview, call: Caller) -> Stats:
    """The figures of the queues that there are for the caller."""
    rows = all_.queues if call.sees_all else tuple(row for row in all_.queues if call.sees(row.name))
    rates = all_.rates if call.sees_all else together((row.rates for row in rows), all_.rates.window_ms)
    oldest = max(rows, key=lambda row: -1 if row.oldest_waiting_ms is None else row.oldest_waiting_ms, default=None)
    known = oldest is not None and oldest.oldest_waiting_ms is not None
    return Stats(
        at=moment(all_.at), window_ms=rates.window_ms, totals=_totals(rows), rates=rates_of(rates),
        failure_ratio=rates.failure_share,
        wait_ms=percentiles(_spread(all_.wait, rows, call, wait=True)),
        run_ms=percentiles(_spread(all_.run, rows, call, wait=False)),
        oldest_waiting_seconds=seconds(oldest.oldest_waiting_ms) if oldest is not None and known else None,
        oldest_waiting_queue=oldest.name if oldest is not None and known else None,
        workers=all_.workers if call.sees_all else max((row.workers for row in rows), default=0),
        slots=all_.slots if call.sees_all else max((row.slots for row in rows), default=0),
        busy=all_.busy if call.sees_all else sum(row.busy for row in rows),
        queues=len(rows),
        schedules=all_.schedules if call.sees_all else None,
        overdue=all_.overdue if call.sees_all else None,
        took_ms=all_.took_ms,
    )  # fmt: skip


def _spread(whole: Spread, rows: tuple[QueueRow, ...], call: Caller, *, wait: bool) -> Spread:
    """Percentiles of several queues cannot be added up; those of a single one are known."""
    if call.sees_all:
        return whole
    return (rows[0].wait if wait else rows[0].run) if len(rows) == 1 else Spread()


def _totals(rows: tuple[QueueRow, ...]) -> TotalsInfo:
    return TotalsInfo(
        waiting=sum(row.waiting for row in rows), active=sum(row.active for row in rows),
        delayed=sum(row.delayed for row in rows), waiting_children=sum(row.waiting_children for row in rows),
        completed=sum(row.completed for row in rows), failed=sum(row.failed for row in rows),
        completed_total=sum(row.completed_total for row in rows), failed_total=sum(row.failed_total for row in rows),
    )  # fmt: skip


@router.get(
    "/attention", operation_id="list_attention", response_model=shown(Listing[FindingInfo]),
    responses=told("invalid-cursor"), dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def list_attention(
    call: Called, asked: Asked,
    queue: Annotated[str | None, Query(max_length=256)] = None,
    muted: Annotated[bool, Query(description="Also what is muted.")] = False,
) -> Response:  # fmt: skip
    """What wants attention, the worst first."""
    silence = await (await call.desk()).silence("finding")
    rows = [
        one
        for one in await call.api.monitor.attention(queue=queue)
        if (call.sees(one.queue) if one.queue else call.sees_all)
        and (muted or silence.until(one.id, one.queue) is None)
    ]

    def key(one: Finding) -> Key:
        return _WORST.get(one.severity, 3), one.id

    rows.sort(key=key)
    shown = cut(rows, key, asked, "attention", queue, muted)
    items = [finding_of(one, _remedy(one, call), silence.until(one.id, one.queue)) for one in shown.items]
    return listing(asked, FindingInfo, items, next=shown.next, prev=shown.prev, total=len(rows))


def _remedy(one: Finding, call: Caller) -> Remedy:
    method, shape = _HREFS.get(one.rule, ("GET", "{queue}"))
    if not one.queue:
        where = "system/doctor" if one.rule in _OF_THE_STORE else "workers"
        return Remedy(text=one.remedy, method="GET", href=f"{call.base}/{where}")
    href = shape.format(
        queue=queue_path(one.queue, call.base), base=call.base, name=part(one.queue),
        schedule=schedule_path(one.queue, one.subject, call.base) if one.subject else queue_path(one.queue, call.base),
    )  # fmt: skip
    return Remedy(text=one.remedy, method=method, href=href)


@router.post(
    "/attention/{id}/mute", operation_id="mute_attention", status_code=204, responses=told("validation-failed"),
    dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def mute_attention(call: Called, id: str, body: MuteBody) -> Response:
    """Do not speak of it for a while."""
    _check_finding(call, id)
    with refusing():
        await (await call.desk(body.reason)).mute("finding", id, run_at_ms(body.until), queues=call.globs)
    return empty()


@router.post(
    "/attention/{id}/unmute", operation_id="unmute_attention", status_code=204, responses=told("finding-not-found"),
    dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def unmute_attention(call: Called, id: str) -> Response:
    """Speak of it again."""
    _check_finding(call, id)
    try:
        await (await call.desk()).unmute("finding", id, queues=call.globs)
    except RecordNotFoundError:
        problem("finding-not-found", f"Nothing is muted under {id!r}.")
    return empty()


def _check_finding(call: Caller, finding: str) -> None:
    """An id is rule, queue and subject. Raises: Problem: 404, it is of a queue that is not theirs."""
    _, _, rest = finding.partition("/")
    if not call.sees_all and not any(call.sees(rest[:end]) for end in _ends(rest)):
        problem("finding-not-found", f"Nothing of the kind {finding!r} wants attention.")


def _ends(text: str) -> list[int]:
    return [number for number, char in enumerate(text) if char == "/"] + [len(text)]


# -- marks ---------------------------------------------------------------------------------------------------------


@router.get(
    "/marks", operation_id="list_marks", response_model=shown(Listing[MarkInfo]), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.METRICS_READ, queue=None)],
)  # fmt: skip
async def list_marks(call: Called, asked: Asked) -> Response:
    """Marks on the charts, oldest first."""
    found = [one for one in await (await call.desk()).marks() if concerns(call.globs, one.queues)]
    rows = sorted((mark_of(one) for one in found), key=lambda one: (one.at, one.id))
    shown = cut(rows, lambda one: (one.at, one.id), asked, "marks")
    return listing(asked, MarkInfo, shown.items, next=shown.next, prev=shown.prev, total=len(rows))


@router.post(
    "/marks", operation_id="add_mark", response_model=shown(MarkInfo), status_code=201,
    responses=told("validation-failed"), dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def add_mark(call: Called, body: MarkBody) -> Response:
    """Put a mark on the charts."""
    at = None if body.at is None else run_at_ms(body.at)
    with refusing():
        made = await (await call.desk()).mark(body.label, at, body.url, body.color, queues=call.globs)
    return answer(mark_of(made), status=201)


@router.delete(
    "/marks/{id}", operation_id="remove_mark", status_code=204, responses=told("mark-not-found"),
    dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def remove_mark(call: Called, id: str) -> Response:
    """Take a mark away."""
    desk = await call.desk()
    about = next((one.queues for one in await desk.marks() if one.id == id), None)
    if about is None or not concerns(call.globs, about):
        problem("mark-not-found", f"There is no mark {id!r}.")
    if not covered(call.globs, about):
        problem("forbidden", "This mark is about queues that are not yours, too.",
                permission=str(Permission.MARK_WRITE))  # fmt: skip
    await desk.unmark(id)
    return empty()


# -- the search box ------------------------------------------------------------------------------------------------


@router.get(
    "/complete", operation_id="complete_search", response_model=shown(list[Completion]), responses=told(),
    dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def complete_search(
    call: Called, q: Annotated[str, Query(max_length=2_000)] = "", at: Annotated[int | None, Query(ge=0)] = None
) -> Response:
    """What could be typed next in a search."""
    place = None if at is None else min(at, len(q))
    return answer(await call.api.monitor.complete(q, place, visible=call.globs))
