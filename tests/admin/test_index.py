"""The index of tags and traces: searches with it find exactly what searches without it find."""

import json

import pytest

from corral.admin import indexing
from corral.admin.admin import Admin, Desk
from corral.admin.indexing import SLACK_MS
from corral.admin.objects import Operation
from corral.errors import QueueNotFoundError
from corral.job import JobId, JobState
from corral.monitor.index import KIND, TTL_MS, parts_kind
from corral.monitor.monitor import Monitor
from corral.options import JobOptions
from corral.outcome import Completed, Failed
from corral.storage.port import Selection, Storage
from corral.timing import Millis
from tests.storage.helpers import QUEUE, T0, Clock, add, new_job, run_through

from .helpers import carried_out, entries, taken

TRACES = [f"{number:032x}" for number in range(0x4BF92F35 << 96, (0x4BF92F35 << 96) + 8)]


def tagged(*tags: str, trace: str | None = None) -> JobOptions:
    carrier = None if trace is None else json.dumps({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    return JobOptions(tags=tags, trace=carrier)


async def ended(
    storage: Storage, job_id: JobId, *tags: str, trace: str | None = None, now: Millis = T0, queue: str = QUEUE,
    fails: bool = False,
) -> JobId:  # fmt: skip
    """A job with tags that has ended."""
    await add(storage, new_job(job_id, queue=queue, options=tagged(*tags, trace=trace)), now=now)
    outcome = Failed(reason="no") if fails else Completed()
    assert await run_through(storage, outcome, queue=queue, now=now) == job_id
    return job_id


async def built(desk: Desk, admin: Admin, queue: str | None = None) -> Operation:
    made = await carried_out(admin, await desk.rebuild_index(queue))
    assert made.state == "done", made.problem
    return made


async def search(monitor: Monitor, query: str, **more: object) -> tuple[str, list[JobId], bool]:
    """Which way it went, what it found, and whether that is all."""
    found = await monitor.jobs(query, limit=100, **more)  # type: ignore[arg-type]  # whatever a test gives
    return found.scan.strategy, [row.id for row in found.items], found.scan.complete


async def test_a_tag_is_looked_up_among_jobs_that_had_finished(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    await ended(storage, "a", "tenant-1")
    await ended(storage, "b", "tenant-2", fails=True)
    await ended(storage, "c", "tenant-1", "vip", fails=True)
    clock.now += 2 * SLACK_MS
    assert await search(monitor, "tag:tenant-1") == ("scan", ["c", "a"], True)
    made = await built(desk, admin)
    assert (made.action, made.done, made.total, made.examined) == ("index", 1, 1, 3)
    assert await search(monitor, "tag:tenant-1") == ("index:tag", ["c", "a"], True)
    assert await search(monitor, "tag:tenant-1,tenant-2 state:failed") == ("index:tag", ["c", "b"], True)
    assert await search(monitor, "tag:tenant-1 -tag:vip") == ("index:tag", ["a"], True)
    assert await search(monitor, "tag:nobody") == ("index:tag", [], True)


async def test_only_what_the_index_cannot_know_is_looked_through(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    for number in range(50):
        await ended(storage, f"old-{number}", "dull")
    await ended(storage, "old", "t")
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    await ended(storage, "new", "t", now=clock.now)
    await add(storage, new_job("waits", options=tagged("t")), now=clock.now)
    found = await monitor.jobs("tag:t")
    assert [row.id for row in found.items] == ["waits", "new", "old"]
    assert (found.scan.examined, found.scan.complete) == (3, True)


async def test_jobs_that_have_changed_since_are_found_as_they_are(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    for job_id in ("again", "gone", "ends-anew"):
        await ended(storage, job_id, "t", fails=True)
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    await storage.remove(QUEUE, Selection(ids=("gone",)))
    await storage.retry(QUEUE, Selection(ids=("again", "ends-anew")), now=clock.now)
    await storage.promote(QUEUE, Selection(ids=("ends-anew",)), now=clock.now)
    first = await run_through(storage, Completed(), now=clock.now)
    _, found, complete = await search(monitor, "tag:t")
    assert (sorted(found), complete) == (["again", "ends-anew"], True), "each of them once"
    assert first in found


async def test_a_trace_is_looked_up_by_its_beginning(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    for number, trace in enumerate(TRACES):
        await ended(storage, f"j{number}", trace=trace)
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    assert (await search(monitor, "trace:4bf92f35"))[:1] == ("index:trace",)
    assert len((await search(monitor, "trace:4bf"))[1]) == len(TRACES)
    assert await search(monitor, f"trace:{TRACES[3]}") == ("index:trace", ["j3"], True)
    assert (await search(monitor, "trace:4b"))[0] == "scan", "too short to have a place in it"


async def test_what_an_index_cannot_tell_is_searched_as_ever(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    await ended(storage, "a", "tenant-1")
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    for query in ("tag:~tenant", "tag:tenant-*", "-tag:tenant-2", "name:welcome"):
        assert await search(monitor, query) == ("scan", ["a"], True), query
    assert (await search(monitor, "tag:tenant-1 state:waiting"))[0] == "scan", "none of these has finished"


async def test_a_queue_without_an_index_is_looked_through_beside_one_that_has_it(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    await ended(storage, "a", "t", queue="one")
    await ended(storage, "b", "t", queue="two")
    clock.now += 2 * SLACK_MS
    await built(desk, admin, "one")
    _, found, complete = await search(monitor, "tag:t")
    assert (sorted(found), complete) == (["a", "b"], True)
    assert await search(monitor, "tag:t", queue="one") == ("index:tag", ["a"], True)
    assert await search(monitor, "tag:t", queue="two") == ("scan", ["b"], True)
    assert await search(monitor, "tag:t", visible=("two",)) == ("scan", ["b"], True)


async def test_a_long_answer_is_read_in_stretches_without_a_gap(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    for number in range(25):
        await ended(storage, f"j{number:02}", "t")
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    await add(storage, *[new_job(f"w{number}", options=tagged("t")) for number in range(4)], now=clock.now)
    found, cursor = [], None
    while True:
        page = await monitor.jobs("tag:t", limit=7, cursor=cursor)
        found += [row.id for row in page.items]
        cursor = page.scan.cursor
        if cursor is None:
            break
    assert found == [f"w{number}" for number in range(4)] + [f"j{number:02}" for number in range(24, -1, -1)]
    assert page.scan.complete


async def test_a_cursor_outlives_its_index(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    for number in range(6):
        await ended(storage, f"j{number}", "t")
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    first = await monitor.jobs("tag:t", limit=4)
    clock.now += 1
    await built(desk, admin)
    rest = await monitor.jobs("tag:t", limit=6, cursor=first.scan.cursor)
    assert {row.id for row in (*first.items, *rest.items)} == {f"j{number}" for number in range(6)}
    clock.now += TTL_MS + 1
    again = await monitor.jobs("tag:t", limit=6, cursor=first.scan.cursor)
    assert again.scan.strategy == "scan"
    assert len(again.items) == 6, "rather some twice than not at all"


async def test_a_large_queue_takes_several_steps_and_a_step_may_be_done_twice(
    desk: Desk, admin: Admin, storage: Storage, monitor: Monitor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PAGE", 10)
    monkeypatch.setattr(indexing, "STEP", 20)
    for number in range(50):
        await ended(storage, f"j{number:02}", "t", f"own-{number}")
    clock.now += 2 * SLACK_MS
    started = await desk.rebuild_index()
    held = await taken(admin.runner, started)
    await indexing.index_step(admin.ground, held.task)  # by a process that died before it could say so
    assert (await search(monitor, "tag:t"))[0] == "scan", "half an index is none"
    seen = []
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
        seen.append((held.task.shown.state, held.task.shown.examined))
    assert seen == [("running", 20), ("running", 40), ("running", 50), ("done", 50)]
    strategy, found, complete = await search(monitor, "tag:t")
    assert (strategy, complete) == ("index:tag", True)
    assert found == [f"j{number:02}" for number in range(49, -1, -1)]
    assert (await search(monitor, "tag:own-7"))[1] == ["j07"]


async def test_a_new_index_takes_the_place_of_the_old_one_whose_parts_go(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await ended(storage, "a", "t")
    clock.now += 2 * SLACK_MS
    first = await built(desk, admin)
    clock.now += 1
    second = await built(desk, admin)
    parts = await storage.entries(parts_kind(QUEUE), now=clock.now)
    assert {one.id.partition(":")[0] for one in parts} == {second.id.removeprefix("op_")}
    assert first.id != second.id
    assert [one.id for one in await storage.entries(KIND, now=clock.now)] == [QUEUE]
    assert [one.action for one in await entries(desk)] == ["operation.end", "index.rebuild"] * 2


async def test_jobs_without_tags_and_traces_leave_nothing_in_it(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await ended(storage, "a")
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    assert await storage.entries(parts_kind(QUEUE), now=clock.now) == []


async def test_a_store_without_queues_and_a_queue_that_is_none(desk: Desk, admin: Admin) -> None:
    assert (await built(desk, admin)).total == 0
    with pytest.raises(QueueNotFoundError):
        await desk.rebuild_index("nowhere")


async def test_no_job_is_touched(desk: Desk, admin: Admin, storage: Storage, clock: Clock) -> None:
    await ended(storage, "a", "t")
    before = (await storage.page(QUEUE, [JobState.COMPLETED])).items
    clock.now += 2 * SLACK_MS
    await built(desk, admin)
    assert (await storage.page(QUEUE, [JobState.COMPLETED])).items == before
