"""Pause, global concurrency and rate limits: set on either side, obeyed on the other."""

from typing import Any

from corral.job import JobState
from corral.options import RateLimit
from corral.queue import Queue
from corral.storage.port import Claim, Token
from corral.worker.context import JobContext

from .node import Bull
from .work import until, working


async def test_a_pause_of_node_holds_corral_and_its_resume_loses_nothing(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("before")
    later = await mail.add("later", delay=3600)
    await queue.call("pause")
    await queue.add("during")
    await mail.add("during")
    await mail.promote(later.id)
    counts = await mail.counts()
    assert (counts.waiting, counts.paused, (await mail.info()).paused) == (4, 4, True)
    async with working(mail) as notes:
        claimed = await mail.storage.claim("mail", Claim(count=1, token=Token("one"), lease_ms=30_000))
        assert (claimed.paused, claimed.jobs, notes.runs) == (True, (), [])
        await queue.call("resume")
        await notes.begun(4)
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_pause_of_corral_holds_nodes_worker_until_corral_resumes(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await mail.add("before")
    await mail.pause("lunch")
    assert await queue.call("isPaused") is True
    worker = await bull.worker(major=major)
    await mail.add("during")
    await queue.add("during")
    delayed = await mail.add("sign of life", delay=0.05)

    async def promoted() -> bool:
        return (await delayed.get()).state is JobState.WAITING

    await until(promoted)
    assert await worker.runs() == []
    await mail.resume()
    assert await queue.call("isPaused") is False
    await worker.runs(4)


async def test_corral_resumes_what_bullmq_5_put_into_its_list_of_paused_jobs(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue(major=5)
    for number in range(3):
        await queue.add("old", {"n": number})
    await queue.call("pause")
    await queue.add("old", {"n": 3})
    await mail.add("new")  # there too: in `wait`, it would be lost when BullMQ 5 resumes
    assert len((await bull.keys.ids("mail"))["paused"]) == 5
    page = await mail.page(JobState.WAITING)
    assert page.total == 5
    await mail.resume()
    assert (await bull.keys.ids("mail"))["paused"] == []
    async with working(mail, concurrency=1) as notes:
        runs = await notes.begun(5)
    assert [run.id for run in runs if run.name == "old"] == ["1", "2", "3", "4"]


async def test_a_job_in_bullmq_5s_paused_list_can_be_removed_and_cancelled(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue(major=5)
    await queue.call("pause")
    for _ in range(3):
        await queue.add("old")
    assert await mail.remove("1") == ["1"]
    assert await mail.cancel("2") == ["2"]
    assert (await bull.keys.ids("mail"))["paused"] == ["3"]
    assert await bull.keys.faults("mail") == []


async def test_corral_obeys_a_global_concurrency_of_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.call("setGlobalConcurrency", 2)
    await queue.call("addBulk", [{"name": "n", "data": {}} for _ in range(30)])
    inside = most = 0

    async def act(ctx: JobContext, data: Any) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await mail.counts()  # something to wait for, so that others could come in
        inside -= 1
        return None

    async with working(mail, act, concurrency=20) as notes:
        await notes.begun(30)
    assert most == 2
    assert (await mail.info()).concurrency == 2


async def test_node_obeys_a_global_concurrency_of_corral(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await mail.limit(concurrency=2)
    assert await queue.call("getGlobalConcurrency") == 2
    await mail.add_bulk([("n", {}) for _ in range(10)])
    worker = await bull.worker(script={"*": {"hold": True}}, major=major, concurrency=8)
    await worker.runs(2)
    hand = await bull.hand(major=major)
    assert await hand.serve(1) == 0  # at the cap, nobody gets anything
    assert len(await worker.runs()) == 2
    await worker.release()
    await worker.runs(10)


async def test_a_cap_is_shared_by_workers_of_both_sides(bull: Bull, mail: Queue) -> None:
    await mail.limit(concurrency=3)
    await mail.add_bulk([("n", {}) for _ in range(12)])
    worker = await bull.worker(script={"*": {"hold": True}}, concurrency=2)
    await worker.runs(2)
    most = 0

    async def act(ctx: JobContext, data: Any) -> object:
        nonlocal most
        most = max(most, (await mail.counts()).active)
        return None

    async with working(mail, act, concurrency=8) as notes:
        await notes.begun(10)
        await worker.release()
    assert most == 3


async def test_corral_obeys_a_global_rate_limit_of_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.call("setGlobalRateLimit", 3, 400)
    limit = (await mail.info()).rate_limit
    assert limit == RateLimit(3, per=0.4)
    await queue.call("addBulk", [{"name": "n", "data": {}} for _ in range(9)])
    async with working(mail, concurrency=9) as notes:
        runs = await notes.begun(9)
    starts = sorted(run.started_at or 0 for run in runs)
    # Three windows: the first job of each begins one, at least as long after the one before as a window lasts.
    # (Both times are the server's; its expiry and its clock may differ by a millisecond or two.)
    assert starts[3] - starts[0] >= 395
    assert starts[6] - starts[3] >= 395


async def test_node_obeys_a_rate_limit_of_corral(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await mail.limit(RateLimit(3, per=3600))
    assert await queue.call("getGlobalRateLimit") == {"max": 3, "duration": 3_600_000}
    await mail.add_bulk([("n", {}) for _ in range(7)])
    worker = await bull.worker(major=major, concurrency=7, maximumRateLimitDelay=20)
    hand = await bull.hand(major=major)
    for begun in (3, 6, 7):
        await worker.runs(begun)
        if begun < 7:
            assert await hand.serve(1) == 0  # the window is used up, for everybody
        assert len(await worker.runs()) == begun
        await queue.call("removeRateLimitKey")


async def test_one_window_is_shared_by_workers_of_both_sides(bull: Bull, mail: Queue) -> None:
    await mail.limit(RateLimit(4, per=3600))
    await mail.add_bulk([("n", {}) for _ in range(6)])
    hand = await bull.hand()
    assert await hand.serve(3) == 3
    async with working(mail) as notes:
        await notes.begun(1)
        assert await hand.serve(1) == 0
        assert (await mail.counts()).waiting == 2
        assert len(notes.runs) == 1


async def test_a_limit_lifted_on_one_side_is_gone_on_the_other(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await mail.limit(RateLimit(1, per=3600), concurrency=1)
    await queue.call("removeGlobalRateLimit")
    await queue.call("removeGlobalConcurrency")
    info = await mail.info()
    assert (info.rate_limit, info.concurrency) == (None, None)
    await queue.call("setGlobalRateLimit", 1, 1000)
    await queue.call("setGlobalConcurrency", 1)
    await mail.limit(None, concurrency=None)
    assert await queue.call("getGlobalConcurrency") is None
    assert await queue.call("getGlobalRateLimit") is None
