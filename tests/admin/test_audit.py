"""The audit log: found by what is known, read page by page, and never longer or more telling than it may be."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from corral.admin import audit
from corral.admin.admin import Admin, Desk
from corral.admin.objects import Actor, AuditEntry
from corral.errors import ConfigError, StorageUnavailableError
from corral.job import JobId
from corral.monitor.monitor import Monitor
from corral.naming import sortable_id
from corral.storage.passing import Passing
from corral.storage.port import Selection, Storage
from corral.storage.records import EntryChange
from corral.timing import Millis
from tests.storage.helpers import QUEUE, SECOND, T0, Clock, add_ids, new_job

from .helpers import ANA, entries, failed_jobs, last_entry, state_of

BEN = Actor(sub="ben", method="token", role="admin", via="api")


@pytest.fixture
async def history(admin: Admin, storage: Storage, clock: Clock) -> Desk:
    """Four things, a second apart: retry a, b (Ana); pause mail (Ben); retry b (Ben); pause sync (Ana)."""
    await failed_jobs(storage, "a", "b")
    await add_ids(storage, "x", queue="sync")
    ana, ben = admin.by(ANA), admin.by(BEN)
    await ana.retry(QUEUE, ["a", "b"])
    clock.tick(SECOND)
    await ben.pause(QUEUE)
    clock.tick(SECOND)
    await storage.cancel(QUEUE, Selection(ids=("b",)), now=clock.now)
    await ben.retry(QUEUE, ["b"])
    clock.tick(SECOND)
    await ana.pause("sync")
    return ana


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["queue.pause", "job.retry", "queue.pause", "job.retry"]),
        ({"actor": "ben"}, ["job.retry", "queue.pause"]),
        ({"actor": "be"}, []),
        ({"action": "job.retry"}, ["job.retry", "job.retry"]),
        ({"action": "queue.*"}, ["queue.pause", "queue.pause"]),
        ({"queue": "sync"}, ["queue.pause"]),
        ({"queue": QUEUE, "action": "job.*"}, ["job.retry", "job.retry"]),
        ({"job": "b"}, ["job.retry", "job.retry"]),
        ({"job": "a"}, ["job.retry"]),
        ({"since": T0 + SECOND}, ["queue.pause", "job.retry", "queue.pause"]),
        ({"until": T0 + SECOND}, ["job.retry"]),
        ({"since": T0 + SECOND, "until": T0 + 2 * SECOND}, ["queue.pause"]),
    ],
)
async def test_entries_are_found_by_what_is_known(history: Desk, wanted: dict[str, object], found: list[str]) -> None:
    page = await history.audit(**wanted)  # type: ignore[arg-type]  # filters of any kind
    assert [entry.action for entry in page.items] == found
    assert page.next is None


async def test_entries_are_read_page_by_page(history: Desk) -> None:
    whole = (await history.audit()).items
    first = await history.audit(limit=3)
    rest = await history.audit(limit=3, before=first.next)
    assert (first.items + rest.items, rest.next) == (whole, None)
    assert await history.audit(limit=4, before=whole[-1].id) == await history.audit(until=0)


async def test_a_rare_entry_is_looked_for_in_stretches(
    desk: Desk, storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "EXAMINED", 4)
    monkeypatch.setattr(audit, "SLICE", 3)
    for number in range(10):
        await desk.note("export.jobs", queue=f"queue-{number}")
        clock.tick()
    found: list[AuditEntry] = []
    before, looks = None, 0
    while True:
        page = await desk.audit(queue="queue-1", before=before)
        found += page.items
        looks += 1
        if page.next is None:
            break
        before = page.next
    assert (len(found), looks) == (1, 3)


async def test_what_one_process_does_in_one_instant_stands_in_its_order(desk: Desk) -> None:
    for number in range(50):
        await desk.note("export.jobs", queue=str(number))
    assert [entry.target["queue"] for entry in await entries(desk)] == [str(number) for number in range(49, -1, -1)]


@pytest.mark.parametrize("limit", [0, 501, True])
async def test_a_page_has_a_bounded_length(desk: Desk, limit: int) -> None:
    with pytest.raises(ConfigError, match="limit"):
        await desk.audit(limit=limit)


async def test_the_log_keeps_so_many_entries_for_so_long(
    desk: Desk, storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEEP", 5)
    for number in range(8):
        await desk.note("export.jobs", count=number)
        clock.tick()
    assert [entry.count for entry in await entries(desk)] == [7, 6, 5, 4, 3]
    clock.tick(audit.TTL_MS)
    assert await entries(desk) == []


async def test_added_jobs_push_nothing_else_out_of_the_log(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEEP_ADDED", 5)
    monkeypatch.setattr(audit, "SLICE", 3)
    for number in range(8):
        await desk.add(QUEUE, [new_job(f"a{number}")])
        if number == 2:
            await desk.pause(QUEUE)
            await desk.resume(QUEUE)
    assert [entry.action for entry in await entries(desk)] == ["job.add"] * 5 + ["queue.resume", "queue.pause"]
    [first] = (await desk.audit(job="a3")).items
    assert first.ids == ("a3",)


async def test_an_entry_is_never_written_over(desk: Desk, storage: Storage) -> None:
    await desk.note("export.jobs", count=1)
    entry = await last_entry(desk)
    await audit.write(storage, replace(entry, count=2), T0)
    assert await entries(desk) == [entry]


async def test_an_entry_of_a_later_version_is_left_out(desk: Desk, storage: Storage) -> None:
    await desk.note("export.jobs")
    await storage.write_entries("audit", [EntryChange(id=sortable_id(T0 + 1), text='{"id":7}')], now=T0)
    assert len(await entries(desk)) == 1


async def test_each_entry_is_told_to_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="corral.audit"):
        await desk.note("export.jobs", queue=QUEUE, count=3)
    [record] = [one for one in caplog.records if one.name == "corral.audit"]
    assert record.getMessage() == "export.jobs mail"
    facts = {key: getattr(record, key) for key in ("event", "actor", "role", "ip", "count", "reason", "outcome")}
    assert facts == {
        "event": "audit.action", "actor": "ana", "role": "operator", "ip": "10.0.0.7", "count": 3, "reason": "because",
        "outcome": "ok",
    }  # fmt: skip


class NoRoom(Passing):
    """A store that takes no audit entries."""

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        if kind == "audit":
            raise StorageUnavailableError("no answer")
        return await super().write_entries(kind, changes, keep=keep, now=now)


async def test_a_change_counts_even_when_its_entry_cannot_be_stored(
    storage: Storage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await failed_jobs(storage, "a")
    full = NoRoom(storage)
    desk = Admin(full, Monitor(full), clock=lambda: clock.now).by(ANA)
    assert await desk.retry(QUEUE, ["a"]) == ["a"]
    assert "could not be stored" in caplog.text
    assert '"job.retry"' in caplog.text


class Stuck(Passing):
    """A store whose retries never come to an end."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.asked = asyncio.Event()

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        self.asked.set()
        await asyncio.Event().wait()
        return []


async def test_a_request_that_is_broken_off_is_noted_as_one_whose_end_nobody_knows(
    storage: Storage, clock: Clock
) -> None:
    await failed_jobs(storage, "a")
    stuck = Stuck(storage)
    desk = Admin(stuck, Monitor(stuck), clock=lambda: clock.now).by(ANA)
    request = asyncio.create_task(desk.retry(QUEUE, ["a"]))
    await stuck.asked.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    entry = await last_entry(desk)
    assert (entry.action, entry.outcome, entry.problem) == ("job.retry", "failed", "internal")


async def test_a_note_of_something_that_changes_nothing(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    await desk.note("job.reveal", queue=QUEUE, job="a", query="data.password:CANARY state:failed")
    entry = await last_entry(desk)
    assert entry == AuditEntry(
        id=entry.id, at=T0, actor=ANA, action="job.reveal", target={"queue": QUEUE, "job": "a"},
        query="data.password:•••• state:failed", reason="because",
    )  # fmt: skip
    assert await state_of(storage, "a") == "waiting"
