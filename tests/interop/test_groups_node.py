"""Groups, and Node beside them: its tools see and keep waiting jobs of groups, its workers leave them alone."""

from corral.job import JobState, NewJob
from corral.options import GroupLimits, QueueSettings
from corral.outcome import Completed
from corral.storage.port import Claim, Selection, Settlement, Storage, Token

from .node import Bull
from .work import until

MAIL = "mail"
LEASE = 60_000


async def add_grouped(storage: Storage, *ids: str) -> None:
    """Jobs whose group is the first letter of their id."""
    await storage.add([NewJob(queue=MAIL, name="welcome", id=job_id, group=job_id[0]) for job_id in ids])


async def take(storage: Storage, token: str, count: int = 10) -> list[str]:
    """The ids that a claim of corral brings."""
    claimed = await storage.claim(MAIL, Claim(count=count, token=Token(token), lease_ms=LEASE, worker="w"))
    return [job.id for job in claimed.jobs]


async def waiting(storage: Storage) -> int:
    [counts] = await storage.counts([MAIL])
    return counts.waiting


async def test_nodes_tools_see_a_waiting_job_of_a_group(bull: Bull, storage: Storage, major: int) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    queue = await bull.queue(major=major)
    assert await queue.counts() == {"waiting-children": 3}
    assert await queue.state("a1") == "waiting-children"
    jobs = await queue.call("getJobs", ["waiting-children"])
    assert {job["id"] for job in jobs} == {"a1", "a2", "b1"}
    job = await queue.get("a1")
    assert job is not None
    assert job["opts"]["group"] == {"id": "a"}
    assert await bull.keys.faults(MAIL) == []
    assert (await waiting(storage), (await storage.groups(MAIL)).total) == (3, 2)


async def test_a_node_worker_runs_no_waiting_job_of_a_group(bull: Bull, storage: Storage, major: int) -> None:
    await add_grouped(storage, "a1", "a2")
    queue, worker = await bull.queue(major=major), await bull.hand(major=major)
    plain = await queue.add("welcome")
    assert await worker.serve() == 1
    assert [run["id"] for run in await worker.runs(1)] == [plain["id"]]
    assert await waiting(storage) == 2
    assert await take(storage, "t1") == ["a1", "a2"]


async def test_nodes_cleaning_of_orphans_keeps_jobs_of_groups(bull: Bull, storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1")
    queue = await bull.queue()
    await queue.call("removeOrphanedJobs")
    assert await take(storage, "t1", 1) == ["a1"]
    await queue.call("removeOrphanedJobs")
    assert await take(storage, "t2") == ["b1"]


async def test_a_job_of_a_group_that_node_removed_is_forgotten(bull: Bull, storage: Storage, major: int) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    queue = await bull.queue(major=major)
    await queue.job("a1", "remove")
    await queue.job("b1", "remove")
    assert await waiting(storage) == 1
    assert await take(storage, "t1") == ["a2"]
    settled = await storage.settle(MAIL, [Settlement(job_id="a2", token=Token("t1"), outcome=Completed())])
    assert settled.refused == {}
    assert (await storage.groups(MAIL)).items == ()
    assert await bull.keys.faults(MAIL, idle=True) == []


async def test_a_running_job_of_a_group_that_node_takes_for_stalled_is_claimed_once_more(
    bull: Bull, storage: Storage, major: int
) -> None:
    await storage.configure(MAIL, QueueSettings(group_limits=GroupLimits(concurrency=1)))
    await add_grouped(storage, "a1", "a2")
    assert await take(storage, "t1") == ["a1"]
    await bull.keys.client.delete(f"{bull.prefix}:{MAIL}:a1:lock")
    queue = await bull.queue(major=major)
    worker = await bull.hand(major=major, stalledInterval=100, maxStalledCount=5)

    async def put_back() -> bool:
        await worker.call("moveStalledJobsToWait")
        await bull.keys.client.delete(f"{bull.prefix}:{MAIL}:stalled-check")
        return await queue.state("a1") == "waiting"

    await until(put_back)
    assert await take(storage, "t2") == ["a1"]
    [job] = await storage.get(MAIL, ["a1"])
    assert job is not None
    assert (job.state, job.group) == (JobState.ACTIVE, "a")
    assert [(info.id, info.active, info.waiting) for info in (await storage.groups(MAIL)).items] == [("a", 1, 1)]
    await storage.settle(MAIL, [Settlement(job_id="a1", token=Token("t2"), outcome=Completed())])
    assert await take(storage, "t3") == ["a2"]


async def test_a_job_of_a_group_that_a_node_worker_ran_gives_its_slot_back(
    bull: Bull, storage: Storage, major: int
) -> None:
    await storage.configure(MAIL, QueueSettings(group_limits=GroupLimits(concurrency=1)))
    await storage.add([NewJob(queue=MAIL, name="welcome", id="a1", group="a", delay_ms=1)])
    await add_grouped(storage, "a2")
    queue = await bull.queue(major=major)
    worker = await bull.hand(major=major)

    async def has_run() -> bool:
        return await worker.serve() > 0  # it promotes what is due into its own list, and runs it

    await until(has_run)
    assert await queue.state("a1") == "completed"
    assert await take(storage, "t1") == ["a2"]


async def test_node_retries_a_failed_job_of_a_group_into_its_own_list(bull: Bull, storage: Storage, major: int) -> None:
    await add_grouped(storage, "a1")
    await storage.cancel(MAIL, Selection(ids=("a1",)))
    queue = await bull.queue(major=major)
    await queue.job("a1", "retry", "failed")
    assert await queue.state("a1") == "waiting"
    assert await take(storage, "t1") == ["a1"]
    assert [(info.id, info.active) for info in (await storage.groups(MAIL)).items] == [("a", 1)]


async def test_what_node_obliterates_leaves_no_job_of_a_group(bull: Bull, storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1")
    queue = await bull.queue()
    await queue.call("obliterate", {"force": True})
    await storage.recover(MAIL)
    assert await bull.keys.ids(MAIL) == {name: [] for name in await bull.keys.ids(MAIL)}
    assert (await storage.groups(MAIL)).items == ()
