"""Charts: what is drawn stays on its axis, and says what it is; and the pages that have them."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring
from zoneinfo import ZoneInfo

import pytest

from corral.dashboard.chart import HEIGHT, TOP, More, chart
from corral.dashboard.pages.insights import queries
from corral.dashboard.times import Times

from .surfing import Page, Surfer

MINUTE = 60_000
BEGIN = 1_795_500_000_000
NO_MARKS: Mapping[str, object] = {"items": []}
Lines = Mapping[str, Sequence[float | None]]


def answered(
    metric: str, unit: str, lines: Lines, *, label: str = "state", partial: bool = False
) -> Mapping[str, object]:  # fmt: skip
    """An answer of the API: a value a minute."""
    count = max(map(len, lines.values()))
    return {
        "metric": metric, "unit": unit, "step_ms": MINUTE, "source": "series", "partial_last": partial,
        "since": said(BEGIN), "until": said(BEGIN + count * MINUTE - 1),
        "series": [
            {
                "labels": {label: name} if name else {},
                "points": [[BEGIN + at * MINUTE, value, 1] for at, value in enumerate(values) if value is not None],
            }
            for name, values in lines.items()
        ],
    }  # fmt: skip


def said(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def parts(svg: str, tag: str, kind: str = "") -> list[Element]:
    return [one for one in fromstring(svg).iter(tag) if kind in one.get("class", "").split() or not kind]


def levels(svg: str) -> list[str]:
    return [one.text or "" for one in parts(svg, "text", "y")]


@pytest.mark.parametrize(
    ("unit", "highest", "said"),
    [
        ("jobs", 0.3, ["0", "1", "2", "3", "4"]),
        ("jobs", 9, ["0", "5", "10", "15", "20"]),
        ("jobs", 73_351, ["0", "20k", "40k", "60k", "80k"]),
        ("ms", 320, ["0 ms", "125 ms", "250 ms", "375 ms", "500 ms"]),
        ("ms", 1_500_000, ["0 ms", "10 m 00 s", "20 m 00 s", "30 m 00 s", "40 m 00 s"]),
        ("ms", 900 * 86_400_000, ["0 ms", "225 d 0 h", "450 d 0 h", "675 d 0 h", "900 d 0 h"]),
        ("share", 0.09, ["0 %", "2.5 %", "5.0 %", "7.5 %", "10 %"]),
    ],
)
def test_an_axis_ends_where_its_quarters_are_easily_read(unit: str, highest: float, said: list[str]) -> None:
    metric = "throughput" if unit == "jobs" else "run_ms"
    assert levels(chart(answered(metric, unit, {"": [highest, None]}), NO_MARKS).svg) == said


def test_bars_on_top_of_each_other_stay_in_the_chart() -> None:
    made = chart(answered("throughput", "jobs", {"completed": [10, 4, 0], "failed": [9, 0, 2]}), NO_MARKS)
    bars = parts(made.svg, "rect")
    assert len(bars) == 4
    for bar in bars:
        assert float(bar.get("y", "0")) >= TOP
        assert float(bar.get("y", "0")) + float(bar.get("height", "0")) <= HEIGHT
    assert levels(made.svg) == ["0", "5", "10", "15", "20"]


def test_the_stretch_that_is_filling_still_is_drawn_as_such() -> None:
    bars = chart(answered("throughput", "jobs", {"completed": [3, 2, 1]}, partial=True), NO_MARKS)
    assert len(parts(bars.svg, "rect", "filling")) == 1
    line = chart(answered("run_ms", "ms", {"p95": [3, 2, 1]}, label="agg", partial=True), NO_MARKS)
    [dashed] = parts(line.svg, "polyline", "filling")
    assert len(dashed.get("points", "").split()) == 2
    over = chart(answered("run_ms", "ms", {"p95": [3, 2, 1]}, label="agg"), NO_MARKS)
    assert parts(over.svg, "polyline", "filling") == []


def test_a_line_breaks_off_where_nothing_is_known() -> None:
    made = chart(answered("run_ms", "ms", {"p95": [3, 2, None, 1]}, label="agg"), NO_MARKS)
    assert (len(parts(made.svg, "polyline")), len(parts(made.svg, "circle"))) == (1, 1)


def test_durations_may_have_an_axis_of_powers_of_ten() -> None:
    made = chart(
        answered("run_ms", "ms", {"p50": [0, 20, 30], "p99": [40, 50_000, 60]}, label="agg"), NO_MARKS, log=True
    )
    assert levels(made.svg) == ["10 ms", "100 ms", "1.0 s", "10 s", "1 m 40 s"]
    for line in parts(made.svg, "polyline"):
        for point in line.get("points", "").split():
            assert TOP <= float(point.partition(",")[2]) <= HEIGHT
    share = chart(answered("failure_ratio", "share", {"": [0.5]}), NO_MARKS, log=True)
    assert levels(share.svg)[0] == "0 %"


def test_lines_of_other_answers_are_drawn_in_the_same_unit() -> None:
    oldest = More("oldest waiting", answered("oldest_waiting", "s", {"": [2, 90]}), 1_000.0)
    made = chart(answered("wait_ms", "ms", {"p95": [10, 20]}, label="agg"), NO_MARKS, more=(oldest,))
    assert made.names == ("p95", "oldest waiting")
    assert made.rows[0][1] == ("20 ms", "1 m 30 s")
    came = chart(
        answered("added", "jobs", {"": [7]}), NO_MARKS,
        more=(More("", answered("throughput", "jobs", {"completed": [5], "failed": [1]})),),
    )  # fmt: skip
    assert (came.names, came.kind, parts(came.svg, "rect")) == (("added", "completed", "failed"), "l", [])


def test_a_chart_tells_the_time_of_the_readers_zone() -> None:
    answer = answered("run_ms", "ms", {"p95": [3, 2]}, label="agg")
    there = chart(answer, NO_MARKS, times=Times(zone=ZoneInfo("Asia/Tokyo"), chosen="Asia/Tokyo"))
    assert chart(answer, NO_MARKS).rows[0][0] == "2026-11-24 06:01"
    assert there.rows[0][0] == "2026-11-24 15:01"


def test_promql_is_of_the_queue_that_is_shown() -> None:
    assert queries('a"b')["busy"] == 'sum(corral_queue_slots_busy{queue="a\\"b"})'
    assert queries("")["throughput"] == "sum by (outcome) (rate(corral_jobs_finished_total[5m]))"
    assert queries("mail")["failure_ratio"].startswith(
        'sum(rate(corral_jobs_finished_total{queue="mail",outcome=~"failed|timeout"}[5m])) / '
    )


one_engine = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


def drawings(page: Page) -> list[str]:
    return [given["aria-label"] for tag, given in page.tags if tag == "svg" and given.get("class") == "chart"]


@one_engine
async def test_insights_show_what_comes_and_goes(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/insights")
    assert page.status == 200
    assert "throughput: completed, failed" in drawings(page)
    assert "Jobs that come and go" in page.words
    assert "corral_jobs_finished_total" in page.words


@one_engine
async def test_what_insights_are_sorted_by_stays_with_another_range(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/insights?by=failures")
    page = await admin.press(page, "Show", range="24h", queue="mail")
    assert re.findall(r"by=(\w+)", str(page.answer.url)) == ["failures"]
    assert page.answer.url.params["range"] == "24h"


@one_engine
async def test_a_range_of_ones_own_is_shown_or_refused_in_place(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/insights?from=2026-01-01T00:00&to=2026-01-08T00:00&by=count")
    assert (page.status, "as said below" in page.words) == (200, True)
    page = await admin.get("/insights?from=2026-01-08T00:00&to=2026-01-01T00:00")
    assert (page.status, "The beginning must lie before the end" in page.words) == (200, True)
    page = await admin.get("/insights?from=yesterday")
    assert (page.status, "Write moments like" in page.words) == (200, True)


@one_engine
async def test_a_queue_has_the_same_charts(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail?tab=metrics&range=6h&scale=log")
    assert page.status == 200
    assert "throughput: completed, failed" in drawings(page)
    assert 'queue="mail"' in page.words
