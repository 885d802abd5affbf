"""Deduplicated jobs of corral and of Node keep each other's producers out, in every mode."""

from typing import Any

import pytest

from corral.job import NewJob
from corral.options import Dedup
from corral.outcome import Completed
from corral.queue import Queue
from corral.storage.port import Added, Claim, Settlement, Storage, Token

from .node import Bull
from .work import GUARD, working

HOUR = 3_600
SIMPLE = Dedup("user-7")
THROTTLE = Dedup("user-7", ttl=HOUR)
EXTEND = Dedup("user-7", ttl=HOUR, extend=True)
REPLACE = Dedup("user-7", replace=True)
DEBOUNCE = Dedup("user-7", ttl=HOUR, extend=True, replace=True)
KEEP_LAST = Dedup("user-7", keep_last=True)
RESCHEDULE = Dedup("user-7", reschedule=True)
MODES = {
    "simple": SIMPLE, "throttle": THROTTLE, "extend": EXTEND, "replace": REPLACE, "debounce": DEBOUNCE,
    "keep_last": KEEP_LAST,
}  # fmt: skip
every_mode = pytest.mark.parametrize("dedup", MODES.values(), ids=MODES)
replacing = pytest.mark.parametrize("dedup", [REPLACE, DEBOUNCE], ids=["replace", "debounce"])


def words(dedup: Dedup) -> dict[str, object]:
    """The mode as Node's producers say it."""
    told = {
        "ttl": dedup.ttl_ms, "extend": dedup.extend, "replace": dedup.replace, "keepLastIfActive": dedup.keep_last,
        "reschedule": dedup.reschedule,
    }  # fmt: skip
    return {"id": dedup.id, **{name: value for name, value in told.items() if value}}


async def offer(storage: Storage, dedup: Dedup, *, delay_ms: int = 0, data: str = "{}", id: str | None = None) -> Added:
    [added] = await storage.add(
        [NewJob(queue="mail", name="welcome", data=data, id=id, dedup=dedup, delay_ms=delay_ms)]
    )
    return added


async def claimed(storage: Storage) -> str:
    [job] = (await storage.claim("mail", Claim(count=1, token=Token("here"), lease_ms=600_000))).jobs
    return job.id


async def completed(storage: Storage, job_id: str) -> None:
    settled = await storage.settle("mail", [Settlement(job_id=job_id, token=Token("here"), outcome=Completed())])
    assert settled.refused == {}


async def lasts(bull: Bull) -> bool:
    """Whether the id is taken for a time only."""
    left: int = await bull.keys.client.pttl(f"{bull.prefix}:mail:de:user-7")
    return left > 0


@every_mode
async def test_a_job_of_corral_keeps_nodes_producers_out(
    bull: Bull, storage: Storage, dedup: Dedup, major: int
) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    owner = await offer(storage, dedup)
    assert await queue.call("getDeduplicationJobId", "user-7") == owner.id
    dropped = await queue.add("welcome", {"n": 2}, deduplication=words(dedup))
    assert dropped["id"] == owner.id
    assert await queue.counts() == {"waiting": 1}
    assert await lasts(bull) is (dedup.ttl is not None)
    job = await queue.get(owner.id)
    assert job is not None
    assert job["opts"]["deduplication"] == words(dedup)
    await queue.add("last", jobId="last")
    await events.wait(event="added", jobId="last")


@every_mode
async def test_a_job_of_node_keeps_corrals_producers_out(
    bull: Bull, storage: Storage, dedup: Dedup, major: int
) -> None:
    queue = await bull.queue(major=major)
    owner = await queue.add("welcome", {"n": 1}, deduplication=words(dedup))
    assert await storage.deduplication("mail", "user-7") == owner["id"]
    assert await offer(storage, dedup) == Added(owner["id"], False, True)
    assert await queue.counts() == {"waiting": 1}
    assert await lasts(bull) is (dedup.ttl is not None)
    [job] = await storage.get("mail", [owner["id"]])
    assert job is not None
    assert job.dedup_id == "user-7"


async def test_node_hears_which_job_was_kept_out(bull: Bull, storage: Storage, major: int) -> None:
    events = await bull.events(major=major)
    owner = await offer(storage, SIMPLE)
    await offer(storage, SIMPLE, id="second")
    heard = await events.wait(event="deduplicated", jobId=owner.id)
    assert (heard["deduplicationId"], heard["deduplicatedJobId"]) == ("user-7", "second")


@replacing
async def test_a_delayed_job_of_corral_gives_way_to_nodes(
    bull: Bull, storage: Storage, dedup: Dedup, major: int
) -> None:
    queue = await bull.queue(major=major)
    old = await offer(storage, dedup, delay_ms=HOUR * 1000)
    new = await queue.add("welcome", {"n": 2}, deduplication=words(dedup), delay=HOUR * 1000)
    assert new["id"] != old.id
    assert await storage.get("mail", [old.id]) == [None]
    assert await storage.deduplication("mail", "user-7") == new["id"]
    assert await queue.counts() == {"delayed": 1}
    assert await bull.keys.faults("mail") == []


@replacing
async def test_a_delayed_job_of_node_gives_way_to_corrals(
    bull: Bull, storage: Storage, dedup: Dedup, major: int
) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    old = await queue.add("welcome", {"n": 1}, deduplication=words(dedup), delay=HOUR * 1000)
    new = await offer(storage, dedup, delay_ms=HOUR * 1000)
    assert (new.fresh, new.deduplicated) == (True, False)
    assert await queue.get(old["id"]) is None
    assert await queue.call("getDeduplicationJobId", "user-7") == new.id
    assert await queue.counts() == {"delayed": 1}
    assert (await events.wait(event="removed", jobId=old["id"]))["prev"] == "delayed"
    assert (await events.wait(event="deduplicated", jobId=new.id))["deduplicatedJobId"] == old["id"]


async def test_a_delayed_job_moves_to_the_newcomers_time_on_either_side(bull: Bull, storage: Storage) -> None:
    queue, events = await bull.queue(), await bull.events()
    owner = await offer(storage, RESCHEDULE, delay_ms=HOUR * 1000)
    dropped = await queue.add("welcome", deduplication=words(RESCHEDULE), delay=2 * HOUR * 1000)
    assert dropped["id"] == owner.id
    [moved] = await storage.get("mail", [owner.id])
    assert moved is not None
    assert moved.run_at is not None
    assert 2 * HOUR * 1000 <= moved.run_at - moved.created_at < 3 * HOUR * 1000
    assert await offer(storage, RESCHEDULE, delay_ms=4 * HOUR * 1000) == Added(owner.id, False, True)
    [job] = await queue.call("getDelayed")
    assert 4 * HOUR * 1000 - 1000 <= job["delay"] <= 4 * HOUR * 1000
    times = [event["delay"] for event in await events.heard() if event["event"] == "delayed"]
    assert times == sorted(times)


async def test_a_node_worker_that_ends_the_owner_frees_its_id(bull: Bull, storage: Storage, major: int) -> None:
    queue, worker = await bull.queue(major=major), await bull.hand(major=major)
    owner = await offer(storage, SIMPLE)
    run = await worker.take()
    assert run.facts["id"] == owner.id
    await run.complete()
    assert await storage.deduplication("mail", "user-7") is None
    assert (await queue.add("welcome", deduplication=words(SIMPLE)))["id"] != owner.id


async def test_what_corral_kept_back_is_added_by_the_node_worker_that_ends_the_owner(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    worker = await bull.hand(major=major)
    owner = await offer(storage, KEEP_LAST, data='{"n":1}')
    run = await worker.take()
    assert await offer(storage, KEEP_LAST, data='{"n":2}') == Added(owner.id, False, True)
    assert await offer(storage, KEEP_LAST, data='{"n":3,"list":[]}', id="third") == Added(owner.id, False, True)
    await run.complete()
    assert await storage.deduplication("mail", "user-7") == "third"
    async with working(mail) as notes:
        [last] = await notes.begun(1)
        assert (last.id, last.data, last.dedup_id) == ("third", '{"n":3,"list":[]}', "user-7")
        await mail.result("third", timeout=GUARD)
    assert await storage.deduplication("mail", "user-7") is None
    assert await bull.keys.faults("mail", idle=True) == []


async def test_what_node_kept_back_is_added_when_corral_ends_the_owner(
    bull: Bull, storage: Storage, major: int
) -> None:
    queue = await bull.queue(major=major)
    owner = await offer(storage, KEEP_LAST, data='{"n":1}')
    assert await claimed(storage) == owner.id
    for number in (2, 3):
        assert (await queue.add("welcome", {"n": number}, deduplication=words(KEEP_LAST)))["id"] == owner.id
    await completed(storage, owner.id)
    [job] = await queue.call("getWaiting")
    assert job["data"] == {"n": 3}
    assert await queue.call("getDeduplicationJobId", "user-7") == job["id"]


async def test_an_id_that_either_side_frees_is_free_on_both(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    first = await offer(storage, SIMPLE)
    assert await queue.call("removeDeduplicationKey", "user-7") == 1
    second = await offer(storage, SIMPLE)
    assert (second.fresh, second.id != first.id) == (True, True)
    assert await storage.deduplication("mail", "user-7", remove=True) == second.id
    third: Any = await queue.add("welcome", deduplication=words(SIMPLE))
    assert third["id"] not in (first.id, second.id)
