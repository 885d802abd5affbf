"""The monitor over a queue that only Node uses: no settings, no figures, no workers of corral's."""

from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.storage.port import Storage

from .node import Bull


async def test_a_queue_of_node_alone_is_seen(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    for number in range(5):
        await queue.add("good", {"n": number, "token": "hunter2"})
    hand = await bull.hand(major=major)
    await (await hand.take()).fail("connect to 10.0.0.1 failed", unrecoverable=True)
    for _ in range(3):
        await (await hand.take()).complete({"ok": True})
    monitor = Monitor(storage)
    overview = await monitor.overview()
    [row] = overview.queues
    assert (row.name, row.waiting, row.completed, row.failed, row.workers) == ("mail", 1, 3, 1, 0)
    assert (row.rates.source, row.rates.completed, row.rates.failed, row.rates.failure_share) == ("sample", 3, 1, 0.25)
    assert row.run.count == 4
    assert row.run.p95 is not None
    assert "no-worker" not in [one.rule for one in overview.attention]  # somebody does work
    assert (await monitor.queue("mail")).priorities == {0: 1}
    listed = await monitor.jobs("data.n:>=1 -state:waiting")
    assert {job.state for job in listed.items} == {JobState.COMPLETED}
    assert all("hunter2" not in job.preview for job in listed.items)
    [failure] = (await monitor.failures()).items
    assert (failure.group.jobs, failure.group.last_name) == (1, "good")
    chart = await monitor.series("mail")
    assert (chart.source, sum(point.completed for point in chart.points)) == ("sample", 3)
