"""update: changing a job that exists, and only as its holder where a token is given."""

from corral.event import EventType
from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed
from corral.storage.port import JobPatch, Storage

from .helpers import QUEUE, T0, Tape, add, add_ids, end, new_job, new_token, served, start_one, tally, the, wish


async def test_data_is_replaced(storage: Storage) -> None:
    await add(storage, new_job("a", data='{"n":1}'))
    assert await storage.update(QUEUE, [JobPatch(job_id="a", data='{"n":2}')], now=T0) == ["a"]
    assert (await start_one(storage)).job.data == '{"n":2}'


async def test_a_patch_leaves_what_it_does_not_name(storage: Storage) -> None:
    await add(storage, new_job("a", data="1", priority=5, delay_ms=500))
    before = await the(storage, "a")
    await storage.update(QUEUE, [JobPatch(job_id="a")], now=T0 + 9)
    assert await the(storage, "a") == before


async def test_progress_is_stored_and_told(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    patch = JobPatch(job_id="a", token=run.token, progress='{"done":3}')
    assert await storage.update(QUEUE, [patch], now=T0 + 7) == ["a"]
    assert (await the(storage, "a")).progress == '{"done":3}'
    [event] = await tape.events()
    assert (event.type, event.job_id, event.detail, event.at) == (EventType.PROGRESS, "a", '{"done":3}', T0 + 7)


async def test_a_stale_token_changes_nothing(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    lost = await start_one(storage, lease_ms=10)
    await storage.recover(QUEUE, now=T0 + 11)
    await start_one(storage, now=T0 + 11)
    before = await the(storage, "a")
    await tape.events()
    patch = JobPatch(job_id="a", token=lost.token, data="9", priority=1, progress="50")
    assert await storage.update(QUEUE, [patch], now=T0 + 12) == []
    assert await the(storage, "a") == before
    assert await tape.everything() == []


async def test_a_token_for_a_job_nobody_holds_changes_nothing(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.update(QUEUE, [JobPatch(job_id="a", token=new_token(), data="9")], now=T0) == []
    assert (await the(storage, "a")).data == "{}"


async def test_the_holder_may_change_its_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    assert await storage.update(QUEUE, [JobPatch(job_id="a", token=run.token, data="9")], now=T0) == ["a"]
    assert (await the(storage, "a")).data == "9"


async def test_a_new_priority_moves_a_waiting_job(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await add(storage, new_job("urgent", priority=1))
    patches = [JobPatch(job_id="c", priority=10), JobPatch(job_id="a", priority=2_000_000)]
    assert await storage.update(QUEUE, [*patches, JobPatch(job_id="urgent", priority=0)], now=T0) == [
        "c",
        "a",
        "urgent",
    ]
    assert (await the(storage, "c")).priority == 10
    assert await served(storage) == ["c", "b", "urgent", "a"]


async def test_a_new_priority_of_a_delayed_job_counts_when_it_falls_due(storage: Storage) -> None:
    await add(storage, new_job("plain"), new_job("a", delay_ms=100))
    await storage.update(QUEUE, [JobPatch(job_id="a", priority=1)], now=T0)
    assert (await the(storage, "a")).state is JobState.DELAYED
    assert await served(storage, now=T0 + 100) == ["a", "plain"]


async def test_a_new_delay_counts_from_now(storage: Storage) -> None:
    await add(storage, new_job("later", delay_ms=100), new_job("sooner", delay_ms=9_000))
    patches = [JobPatch(job_id="later", delay_ms=5_000), JobPatch(job_id="sooner", delay_ms=20)]
    assert await storage.update(QUEUE, patches, now=T0 + 50) == ["later", "sooner"]
    assert [(await the(storage, id)).run_at for id in ("later", "sooner")] == [T0 + 5_050, T0 + 70]
    claimed = await storage.claim(QUEUE, wish(5), now=T0 + 100)
    assert ([job.id for job in claimed.jobs], claimed.next_at) == (["sooner"], T0 + 5_050)


async def test_what_is_not_there_is_not_named(storage: Storage) -> None:
    await add_ids(storage, "a")
    patches = [JobPatch(job_id="ghost", data="1"), JobPatch(job_id="a", data="2")]
    assert await storage.update(QUEUE, patches, now=T0) == ["a"]
    assert (await tally(storage)).waiting == 1


async def test_a_job_that_goes_behind_others_of_its_capped_name_lets_them_go_first(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 1}), now=T0)
    await add(storage, *(new_job(one, priority=1) for one in "abc"))
    run = await start_one(storage)
    assert (await storage.claim(QUEUE, wish(5), now=T0)).jobs == ()  # both are over the cap
    await end(storage, run, Completed())
    await storage.update(QUEUE, [JobPatch(job_id="b", priority=1)], now=T0)
    assert (await start_one(storage)).job.id == "c"


async def test_a_job_that_is_over_its_names_cap_may_be_put_before_the_one_that_came_back(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 1}), now=T0)
    await add(storage, *(new_job(one, priority=5) for one in "abc"))
    run = await start_one(storage)
    assert (await storage.claim(QUEUE, wish(5), now=T0)).jobs == ()
    await end(storage, run, Completed())  # "b" comes back
    await storage.update(QUEUE, [JobPatch(job_id="c", priority=1)], now=T0)
    assert (await start_one(storage)).job.id == "c"
