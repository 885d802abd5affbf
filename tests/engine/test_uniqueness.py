"""Uniqueness as callers write it: by an id or by the payload, and who is in the way."""

import asyncio

import pytest

from corral import ConfigError, Corral, Dedup, EventType, JobContext, Queue
from tests.engine.helpers import past, work_off


@pytest.fixture
async def queue(app: Corral) -> Queue:
    return await app.queue("mail").open()


async def test_a_job_that_is_kept_out_is_answered_with_the_one_in_the_way(queue: Queue) -> None:
    first = await queue.add("report", {"user": 7}, dedup="report-7")
    second = await queue.add("report", {"user": 7}, dedup="report-7")
    assert (first.fresh, first.deduplicated) == (True, False)
    assert (second.fresh, second.deduplicated, second.id) == (False, True, first.id)
    assert (await first.get()).dedup_id == "report-7"
    assert await queue.deduplication("report-7") == first.id
    assert len(await past(queue, EventType.DEDUPLICATED)) == 1


async def test_a_known_id_is_no_deduplication(queue: Queue) -> None:
    await queue.add("report", id="r7")
    second = await queue.add("report", id="r7")
    assert (second.fresh, second.deduplicated, second.id) == (False, False, "r7")


async def test_jobs_are_unique_by_some_fields_of_their_payload(queue: Queue) -> None:
    first = await queue.add("report", {"user": 7, "asked": 1}, unique=["user"])
    again = await queue.add("report", {"user": 7, "asked": 2}, unique=["user"])
    other = await queue.add("report", {"user": 8, "asked": 3}, unique=["user"])
    assert (again.id, again.deduplicated) == (first.id, True)
    assert other.fresh


async def test_a_bulk_keeps_one_of_each(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("report")
    async def report(data: dict[str, int]) -> None: ...

    handles = await report.add_bulk([{"user": number % 3} for number in range(9)], unique=["user"])
    assert [handle.fresh for handle in handles] == [True] * 3 + [False] * 6
    assert len({handle.id for handle in handles}) == 3


async def test_when_the_job_has_ended_the_next_one_is_taken(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("report")
    async def report(data: dict[str, int]) -> None: ...

    first = await report.add({"user": 7}, unique=True)
    await work_off(app)
    second = await report.add({"user": 7}, unique=True)
    assert second.fresh
    assert second.id != first.id


async def test_a_debounced_job_gives_way_to_the_newest(queue: Queue) -> None:
    quiet = Dedup("index", ttl=60, extend=True, replace=True)
    first = await queue.add("index", {"version": 1}, dedup=quiet, delay=30)
    second = await queue.add("index", {"version": 2}, dedup=quiet, delay=30)
    assert second.fresh
    assert second.id != first.id
    assert [job.data for job in (await queue.page()).items] == ['{"version":2}']


async def test_the_newest_of_those_that_came_while_it_ran_is_added_at_its_end(app: Corral) -> None:
    mail = app.queue("mail")
    seen: list[int] = []

    @mail.job("index")
    async def index(ctx: JobContext, version: int) -> None:
        seen.append(version)
        if version == 1:
            for newer in (2, 3):
                handle = await index.add(newer, dedup=Dedup("index", keep_last=True))
                assert handle.deduplicated

    await index.add(1, dedup=Dedup("index", keep_last=True))
    await work_off(app)
    assert seen == [1, 3]


async def test_a_deduplication_can_be_ended_by_hand(queue: Queue) -> None:
    first = await queue.add("report", dedup="r")
    assert await queue.stop_deduplication("r") == first.id
    assert await queue.deduplication("r") is None
    assert (await queue.add("report", dedup="r")).fresh


async def test_a_handler_is_told_what_is_wrong_before_anything_is_written(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("report")
    async def report(data: dict[str, int]) -> None: ...

    with pytest.raises(ConfigError, match="unique names 'usr'"):
        await report.add_bulk([{"user": 1}], unique=["usr"])
    assert (await (await mail.open()).counts()).waiting == 0


async def test_add_sync_knows_uniqueness(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("report")
    async def report(data: dict[str, int]) -> None: ...

    ids = [await asyncio.to_thread(lambda: report.add_sync({"user": 7}, unique=True)) for _ in range(2)]
    assert ids[0] == ids[1]
