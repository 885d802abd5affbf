"""Tables of queues: their columns, queues folded by prefix, a day in a cell; and head numbers beside yesterday's."""

from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from corral import Corral
from corral.dashboard.columns import USUAL, View, chosen, rows, together, total
from corral.dashboard.spark import hours
from corral.dashboard.words import change
from corral.http.app import Application
from corral.job import NewJob
from corral.storage.insight import Sample
from corral.timing import now_ms
from tests.web.conftest import TOKENS

from .opening import coming
from .surfing import Surfer

HOUR = 3_600_000
sqlite = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


def queue(name: str, *, waiting: int = 0, attention: int = 0, trend: list[int] | None = None) -> Mapping[str, object]:
    """A queue as the API tells it."""
    counts = dict.fromkeys(("waiting", "active", "delayed", "waiting_children", "completed", "failed"), 0)
    return {
        "name": name, "attention": attention, "counts": counts | {"waiting": waiting}, "trend": trend,
        "rates": {"done_per_min": 1.5, "failed_per_min": 0.5}, "oldest_waiting_seconds": waiting or None,
    }  # fmt: skip


def test_queues_that_begin_alike_are_one_row_where_the_first_of_them_stood() -> None:
    names = ("report", "mail:welcome", "sync", "mail", "pay.refund", ".odd", ".odder", "mail:alert")
    made = rows([queue(name, attention=2 if name == "mail:alert" else 0) for name in names], View(folds=True))
    assert [(one.name, [str(two["name"]) for two in one.queues]) for one in made] == [
        ("", ["report"]), ("mail", ["mail:welcome", "mail", "mail:alert"]), ("", ["sync"]), ("", ["pay.refund"]),
        ("", [".odd"]), ("", [".odder"]),
    ]  # fmt: skip
    assert [(one.attention, one.unfolds) for one in made if one.name] == [(2, True)]
    assert len(rows([queue(name) for name in names], View())) == len(names)


def test_a_group_sums_up_what_can_be_summed_up() -> None:
    some = [queue("mail:a", waiting=3, trend=[1, 0, 2]), queue("mail:b", waiting=9, trend=[0, 0, 5]), queue("mail:c")]
    assert [total(some, one) for one in ("waiting", "failed", "rate", "oldest", "wait", "workers")] == [
        12, 0, 6.0, 9, None, None,
    ]  # fmt: skip
    assert together(some) == [1, 0, 7]
    assert together(some[2:]) is None


def test_a_day_is_drawn_as_one_path_that_stays_in_its_picture() -> None:
    made = str(hours([0, 0, 5, 10, 10, 1]))
    assert 'd="M0 20V20h6V9h3V0h6V17h3V20"' in made
    assert 'viewBox="0 0 18 20"' in made
    assert 'aria-label="26, at most 10 an hour"' in made
    assert str(hours(None)) == "–"
    assert 'd="M0 20V20h72V20"' in str(hours([0] * 24))
    assert len(str(hours([1_000_000 + at for at in range(24)]))) < 300


def test_what_cannot_be_meant_in_a_cookie_counts_as_nothing() -> None:
    assert chosen({}) == View(USUAL, folds=False)
    assert chosen({"corral-columns": "failed.<b>.waiting", "corral-fold": "prefix"}) == View(
        ("waiting", "failed"), folds=True
    )
    assert chosen({"corral-columns": "<b>", "corral-fold": "yes"}) == View(USUAL, folds=False)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.08, "+8 %"), (-0.4, "−40 %"), (0.01, "the same"), (1.5, "+150 %"), (11.0, "12 times as much")],
)
def test_a_change_is_told_in_words(value: float, said: str) -> None:
    assert change(value) == said


async def several(site: Application, *names: str) -> None:
    await site.state.corral.storage.add([NewJob(queue=name, name="x", data="{}") for name in names])


@sqlite
async def test_columns_are_chosen_in_a_form_and_remembered(site: Application, ids: dict[str, str]) -> None:
    await several(site, "mail:welcome", "mail:alert")
    async with coming(site, token=TOKENS["admin"]) as (surfer, client):
        page = await surfer.get("/queues")
        assert "Oldest" in page.words
        assert "Children" not in page.answer.text.partition("<thead>")[2].partition("</thead>")[0]
        data = {"table": "queues", "column": ["waiting", "children"], "_next": "/queues", "fold": "1"}
        await client.post(
            "/preferences", content=urlencode(data, doseq=True),
            headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        for path in ("/queues", "/"):
            text = (await surfer.get(path)).answer.text
            head = text.partition("<thead>")[2].partition("</thead>")[0]
            assert "Children" in head
            assert "Oldest" not in head
            assert 'class="group"' in text
            assert "3 queues" in text
            assert text.count('data-row="rates:mail') == 3


@sqlite
async def test_where_nothing_was_recorded_yesterday_nothing_is_said_of_it(ids: dict[str, str], admin: Surfer) -> None:
    page = await admin.get("/")
    assert "Wait p95" in page.words
    assert "yesterday" not in page.words


@sqlite
async def test_a_day_and_yesterday_come_from_what_workers_recorded(
    shop: Corral, ids: dict[str, str], site: Application, admin: Surfer
) -> None:
    storage, now = site.state.corral.storage, now_ms()
    for ago, count in ((0, 10), (24 * HOUR + 300_000, 840)):
        run = {20: count}
        await storage.record(
            "mail", [Sample(at=now - ago, name="welcome", completed=count, wait=run, run=run)], now=now
        )
    page = await admin.get("/")
    assert "1 /s yesterday" in page.words
    assert "0 % yesterday" in page.words
    [mail] = [
        one for one in (await admin.get("/api/v1/queues?include=trend")).answer.json()["items"] if one["name"] == "mail"
    ]
    assert len(mail["trend"]) == 24
    assert mail["trend"][-1] + mail["trend"][-2] >= 10
    assert 'class="day"' in page.answer.text
    stats = (await admin.get("/api/v1/stats?window=15m&compare=24h")).answer.json()
    assert stats["earlier"]["rates"]["completed"] == 840
    for wrong in ("compare=24h", "window=15m&compare=25h", "window=15m&compare=soon"):
        assert (await admin.get(f"/api/v1/stats?{wrong}")).status == 400
    assert (await admin.get("/api/v1/queues?include=everything")).status == 400
