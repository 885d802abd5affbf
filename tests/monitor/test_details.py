"""One job, why it waits, workers, charts."""

import asyncio

import pytest

from corral.errors import ConfigError, JobNotFoundError
from corral.histogram import bucket_of
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Mark
from corral.naming import sortable_id
from corral.options import JobOptions
from corral.outcome import Completed, Failed
from corral.storage.insight import Sample, Tier
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.why import Cause
from tests.storage.helpers import (
    MINUTE,
    QUEUE,
    SECOND,
    T0,
    Clock,
    add,
    add_ids,
    beat,
    end,
    new_job,
    run_through,
    start_one,
    wish,
)


async def test_one_job_is_told_with_what_is_secret_hidden(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add(storage, new_job("a", data='{"to":"ada","token":"hunter2"}'))
    run = await start_one(storage, now=clock.tick(SECOND))
    await end(storage, run, Failed(reason="no", trace="here"), now=clock.tick(2 * SECOND))
    told = await monitor.job(QUEUE, "a")
    assert (told.data, told.whole, told.reason, told.traces) == ('{"to":"ada","token":"••••"}', True, "no", ("here",))
    assert (told.row.wait_ms, told.row.run_ms, told.row.data_bytes) == (SECOND, 2 * SECOND, 30)
    assert (await monitor.job(QUEUE, "a", reveal=True)).data == '{"to":"ada","token":"hunter2"}'
    with pytest.raises(JobNotFoundError):
        await monitor.job(QUEUE, "b")


async def test_of_a_job_with_long_texts_the_attempts_are_told_all_the_same(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add(storage, new_job("a", data=f'"{"x" * 100_000}"'))
    await run_through(storage, Failed(reason="no", trace="here"), now=clock.tick())
    told = await monitor.job(QUEUE, "a")
    assert (told.data, told.whole, told.traces) == (None, False, ("here",))
    assert [(one.outcome, one.trace, one.worker) for one in told.attempts] == [("failed", "here", "w-1")]


async def test_why_a_job_waits_is_told(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    told = await monitor.why(QUEUE, "b")
    assert [reason.cause for reason in told.reasons] == [Cause.NO_WORKER, Cause.BEHIND]
    with pytest.raises(JobNotFoundError):
        await monitor.why(QUEUE, "c")


async def test_workers_come_with_their_jobs(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b")
    await storage.heartbeat(beat("w-1", running=1, handlers=("mail/welcome",)), [], lease_ms=15_000, now=T0)
    await storage.claim(QUEUE, wish(worker="id-of-w-1"), now=T0)
    await storage.claim(QUEUE, wish(worker="node-7"), now=T0)
    told = await monitor.workers()
    [worker] = told.items
    assert (worker.name, worker.state, [job.id for job in worker.jobs]) == ("w-1", "busy", ["a"])
    assert ([job.id for job in told.elsewhere], told.complete) == (["b"], True)
    assert (await monitor.workers(queue="other")).items == ()
    assert [one.text for one in await monitor.complete("name:w")] == ["welcome"]
    clock.tick(40 * SECOND)
    [worker] = (await monitor.workers()).items
    assert (worker.state, worker.silent_ms) == ("stale", 40 * SECOND)
    assert "stalled" in [one.rule for one in await monitor.attention()]


async def test_a_chart_is_what_workers_recorded(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    for at, name, number in ((T0, "a", 3), (T0, "b", 2), (T0 + 2 * MINUTE, "a", 1)):
        run = {bucket_of(10): number}
        await storage.record(QUEUE, [Sample(at=at, name=name, completed=number, failed=1, run=run)], now=at)
    clock.tick(5 * MINUTE)
    told = await monitor.series(QUEUE, "minute")
    assert [(point.at, point.completed, point.failed, point.run.p50) for point in told.points] == [
        (T0, 5, 2, 10.0),
        (T0 + 2 * MINUTE, 1, 1, 10.0),
    ]
    assert (told.names, told.step_ms, told.source, told.complete) == (("a", "b"), MINUTE, "series", True)
    assert [point.completed for point in (await monitor.series(QUEUE, name="b")).points] == [2]
    assert [point.completed for point in (await monitor.series(QUEUE, Tier.HOUR)).points] == [6]
    with pytest.raises(ConfigError, match="tier must be"):
        await monitor.series(QUEUE, "week")


async def test_a_chart_of_everything_adds_the_queues_up(monitor: Monitor, storage: Storage) -> None:
    for queue in ("mail", "sync"):
        await add_ids(storage, "a", queue=queue)
        await run_through(storage, Completed(), queue=queue)
        await storage.record(queue, [Sample(at=T0, name="a", completed=2)], now=T0)
    assert [point.completed for point in (await monitor.series()).points] == [4]


async def test_charts_of_everything_that_are_asked_for_together_are_read_once(
    monitor: Monitor, storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    await storage.record(QUEUE, [Sample(at=T0, name="a", completed=2)], now=T0)
    asked, series = [], storage.series

    async def counting(queue: str, tier: Tier, *, since: int, until: int) -> list[Sample]:
        asked.extend([queue] if since == begin else [])  # the overview asks for percentiles, too
        return await series(queue, tier, since=since, until=until)

    monkeypatch.setattr(monitor.storage, "series", counting)
    clock.tick(MINUTE)
    begin = since = clock.now - 10 * MINUTE
    charts = await asyncio.gather(*(monitor.series(since=since) for _ in range(4)))
    assert [len(one.points) for one in charts] == [1] * 4
    assert asked == [QUEUE]
    assert (await monitor.series(since=since, visible=("no*",))).points == ()  # whoever sees less is told less
    clock.tick(1_000)
    await storage.record(QUEUE, [Sample(at=T0, name="a", completed=5)], now=clock.now)
    assert (await monitor.series(since=since)).points[0].completed == 7


async def test_a_chart_has_at_most_2880_points(monitor: Monitor) -> None:
    told = await monitor.series(QUEUE, since=0)
    assert (told.until - told.since) // MINUTE <= 2_880 + 1


async def test_without_records_the_chart_is_made_of_finished_jobs(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed())
    await run_through(storage, Failed(reason="no"), now=clock.tick(MINUTE))
    told = await monitor.series(QUEUE)
    assert [(point.at, point.completed, point.failed) for point in told.points] == [(T0, 1, 0), (T0 + MINUTE, 0, 1)]
    assert (told.source, told.complete) == ("sample", True)


def mark(at: int, text: str) -> EntryChange:
    return EntryChange(id=sortable_id(at), text=text)


async def test_a_chart_has_the_marks_of_its_time(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    clock.tick(10 * MINUTE)
    late = f'{{"id":"m2","at":{T0 + 5 * MINUTE},"label":"v2","url":"https://example.org/2","color":"red","by":"ann"}}'
    changes = [
        mark(T0 + 5 * MINUTE, late), mark(T0, f'{{"at":{T0},"label":"v1"}}'), mark(T0 - 1, f'{{"at":{T0 - 1}}}'),
        mark(T0 + 7 * MINUTE, f'{{"at":{T0 + 7 * MINUTE}}}'), mark(T0 + 6 * MINUTE, '"of another version"'),
    ]  # fmt: skip
    await storage.write_entries("mark", changes, now=T0)
    told = await monitor.series(since=T0, until=T0 + 7 * MINUTE)
    assert told.marks == (
        Mark(at=T0, label="v1"), Mark(at=T0 + 5 * MINUTE, label="v2", url="https://example.org/2", color="red"),
    )  # fmt: skip
    assert [one.at for one in (await monitor.series(QUEUE, since=T0 + MINUTE)).marks] == [
        T0 + 5 * MINUTE, T0 + 7 * MINUTE
    ]  # fmt: skip


async def test_words_that_were_shown_are_completed_for_who_may_see_them(monitor: Monitor, storage: Storage) -> None:
    options = JobOptions(tags=("tenant-42",))
    await add(storage, new_job("a", "invoice", options=options), new_job("b", queue="hr", options=options, group="g"))
    assert await monitor.complete("tag:") == []
    await monitor.jobs(queue="mail")
    assert [one.text for one in await monitor.complete("tag:")] == ["tenant-42"]
    assert [one.text for one in await monitor.complete("name:")] == ["invoice"]
    await monitor.jobs()
    assert await monitor.complete("group:", visible=("mail",)) == []
    assert [one.text for one in await monitor.complete("group:")] == ["g"]
