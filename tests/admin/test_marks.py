"""Marks on the charts, and orders to workers."""

import json

import pytest

from corral.admin.admin import Desk
from corral.errors import ConfigError, RecordNotFoundError
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from tests.storage.helpers import LEASE, MINUTE, T0, Clock, beat

from .helpers import entries, last_entry

WORKER = "id-of-w-1"


async def test_a_mark_stands_at_its_moment_whenever_it_was_made(desk: Desk, clock: Clock) -> None:
    now = await desk.mark("v2.3.1", url="https://example.com/v2.3.1", color="green")
    before = await desk.mark("incident", T0 - MINUTE, color="#ff0000")
    assert [mark.label for mark in await desk.marks()] == ["incident", "v2.3.1"]
    assert (now.at, now.by, before.at) == (T0, "ana", T0 - MINUTE)
    assert await desk.marks(since=T0) == [now]
    assert await desk.marks(until=T0) == [before]
    entry = await last_entry(desk)
    assert (entry.action, entry.target) == ("mark.add", {"label": "incident", "mark": before.id})


async def test_a_mark_is_taken_away(desk: Desk) -> None:
    mark = await desk.mark("v1")
    await desk.unmark(mark.id)
    assert await desk.marks() == []
    assert (await last_entry(desk)).before == {"label": "v1"}
    with pytest.raises(RecordNotFoundError):
        await desk.unmark(mark.id)
    assert (await last_entry(desk)).problem == "mark-not-found"


@pytest.mark.parametrize(
    "options",
    [
        {"label": ""},
        {"label": "a\nb"},
        {"label": "v1", "at": -1},
        {"label": "v1", "url": "javascript:alert(1)"},
        {"label": "v1", "url": 'https://x/"onclick'},
        {"label": "v1", "color": "red;background:url(x)"},
    ],
)
async def test_a_mark_that_cannot_be_meant_is_refused(desk: Desk, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        await desk.mark(**options)  # type: ignore[arg-type]  # what cannot be meant
    assert await desk.marks() == []
    assert (await last_entry(desk)).outcome == "refused"


async def test_an_order_waits_for_its_worker_and_its_answer_is_read(desk: Desk, storage: Storage) -> None:
    await storage.heartbeat(beat(), [], lease_ms=LEASE, now=T0)
    command = await desk.order(WORKER, "concurrency", 7, queue="mail")
    [order] = await storage.entries(f"orders:{WORKER}", now=T0)
    assert order.id == command
    assert json.loads(order.text) == {"command": "concurrency", "value": 7, "queue": "mail", "by": "ana"}
    assert await desk.answer(WORKER, command) is None
    text = json.dumps({"ok": True, "text": "7 slots", "at": T0})
    await storage.write_entries(f"answers:{WORKER}", [EntryChange(id=command, text=text)], now=T0)
    assert await desk.answer(WORKER, command) == "7 slots"
    entry = await last_entry(desk)
    assert (entry.action, entry.target, entry.after) == (
        "worker.concurrency", {"worker": WORKER, "queue": "mail"}, {"value": 7},
    )  # fmt: skip


async def test_an_order_that_nobody_takes_is_void_after_a_while(desk: Desk, storage: Storage) -> None:
    await storage.heartbeat(beat(), [], lease_ms=LEASE, now=T0)
    await desk.order(WORKER, "quiet")
    assert len(await storage.entries(f"orders:{WORKER}", now=T0 + 5 * MINUTE - 1)) == 1
    assert await storage.entries(f"orders:{WORKER}", now=T0 + 5 * MINUTE + 1) == []


async def test_a_worker_that_is_not_there_takes_no_orders(desk: Desk) -> None:
    with pytest.raises(RecordNotFoundError, match="worker 'nobody'"):
        await desk.order("nobody", "stop")
    assert (await last_entry(desk)).problem == "worker-not-found"


@pytest.mark.parametrize(
    ("command", "value"),
    [("explode", None), ("concurrency", None), ("concurrency", 0), ("concurrency", True), ("quiet", 3), ("stop", -1)],
)
async def test_an_order_that_cannot_be_meant_is_refused(
    desk: Desk, storage: Storage, command: str, value: int | None
) -> None:
    await storage.heartbeat(beat(), [], lease_ms=LEASE, now=T0)
    with pytest.raises(ConfigError):
        await desk.order(WORKER, command, value)
    assert await storage.entries(f"orders:{WORKER}", now=T0) == []
    assert len(await entries(desk)) == 1
