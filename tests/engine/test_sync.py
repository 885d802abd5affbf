"""Adding and administering without an event loop: from plain threads, from scripts, and after a fork."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from corral import Bundle, Cause, Corral, Dag, GroupLimits, JobState, Keep, RateLimit, node
from corral import Queue as AsyncQueue
from corral.errors import (
    ConfigError,
    JobFailedError,
    JobNotFoundError,
    PayloadError,
    QueueNotFoundError,
    RegistrationError,
)
from corral.queue.groups import Group as AsyncGroup
from corral.sync import Group, Queue
from tests.engine.helpers import GUARD, answers, python, work_off, working


def test_add_sync_stores_a_job_and_answers_its_id(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work(data: int) -> None: ...

    assert work.add_sync(7, priority=1) == "1"
    assert work.add_bulk_sync([8, 9], delay=60) == ["2", "3"]
    with Queue("work", url) as queue:
        job = queue.get("1")
        assert (job.data, job.priority, queue.get("3").state) == ("7", 1, JobState.DELAYED)
    asyncio.run(app.close())


def test_add_sync_refuses_what_add_refuses_and_writes_nothing(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work(data: int) -> None: ...

    with pytest.raises(PayloadError):
        work.add_sync(cast(int, "seven"))
    with pytest.raises(ConfigError):
        work.add_sync(7, attempts=0)
    with pytest.raises(PayloadError):
        work.add_bulk_sync([1, cast(int, "two")])
    with Queue("work", url) as queue:
        assert queue.counts().waiting == 0
    asyncio.run(app.close())


async def test_a_blocking_call_inside_a_running_loop_says_what_to_do_instead(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work() -> None: ...

    with pytest.raises(ConfigError, match="use the async method"):
        work.add_sync()
    with Queue("work", url) as queue, pytest.raises(ConfigError, match="use the async method"):
        queue.add("work")
    async with app:
        assert (await (await app.open_queue("work")).counts()).waiting == 0


def test_threads_share_one_background_loop_and_every_job_arrives(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work(data: int) -> None: ...

    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(work.add_sync, range(200)))
    assert len(set(added)) == 200
    assert [thread.name for thread in threading.enumerate()].count("corral-sync") == 1
    with Queue("work", url) as queue:
        assert queue.counts().waiting == 200
    asyncio.run(app.close())


async def test_sync_and_async_adds_of_one_application_meet_in_one_worker(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("double")
    async def double(data: int) -> int:
        return data * 2

    async with app, working(app):
        handle = await double.add(1)
        job_id = await asyncio.to_thread(double.add_sync, 2)
        live = await queue.open()
        assert await handle.result(timeout=GUARD) == 2
        assert await live.result(job_id, timeout=GUARD) == 4


async def test_a_def_handler_may_add_jobs(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("child")
    def child(data: int) -> int:
        return data + 1

    @queue.job("parent")
    def parent() -> str:
        return child.add_sync(41)

    async with app, working(app):
        job_id = await (await parent.add()).result(timeout=GUARD)
        assert await (await queue.open()).result(job_id, timeout=GUARD) == 42


async def test_a_closed_application_can_be_used_again(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work() -> None: ...

    assert await asyncio.to_thread(work.add_sync) == "1"
    await app.close()
    assert await asyncio.to_thread(work.add_sync) == "2"
    await app.close()
    async with app:
        assert (await work.add()).id == "3"


def test_an_application_may_be_opened_in_one_event_loop_after_the_other(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work() -> None: ...

    async def add_many() -> None:
        async with app:
            await asyncio.gather(*(work.add() for _ in range(5)))

    async def add_unopened() -> None:
        await asyncio.gather(*(work.add() for _ in range(5)))
        await app.close()

    for main in (add_many, add_unopened, add_many, add_unopened):
        asyncio.run(main())
    with Queue("work", url) as queue:
        assert queue.counts().waiting == 20


def test_what_is_not_declared_or_not_included_cannot_be_added(url: str) -> None:
    bundle = Bundle("email", queue="mail")

    @bundle.job("welcome")
    async def welcome() -> None: ...

    with pytest.raises(RegistrationError):
        welcome.add_sync()
    with pytest.raises(QueueNotFoundError):
        Corral(url).open_queue_sync("mail")


async def test_the_sync_queue_has_the_operators_verbs(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("work")
    async def work(data: str) -> str:
        if data == "bad":
            raise ValueError(data)
        return data

    def before() -> tuple[str, str, str]:
        with Queue("work", url) as blocking:
            good, bad, unwanted = blocking.add_bulk([("work", "good"), ("work", "bad"), ("work", "unwanted")])
            assert blocking.cancel(unwanted, reason="no") == [unwanted]
            blocking.pause("for a moment")
            assert blocking.counts().paused == 2
            blocking.resume()
            return good, bad, unwanted

    def after(good: str, bad: str, unwanted: str) -> None:
        with Queue("work", url) as blocking:
            assert blocking.result(good, timeout=GUARD) == "good"
            with pytest.raises(JobFailedError, match="ValueError: bad"):
                blocking.result(bad, timeout=GUARD)
            assert {job.id for job in blocking.page(JobState.FAILED).items} == {bad, unwanted}
            assert blocking.retry(bad) == [bad]
            assert blocking.get(bad).state is JobState.WAITING
            assert blocking.remove(bad) == [bad]
            with pytest.raises(JobNotFoundError):
                blocking.get(bad)

    job_ids = await asyncio.to_thread(before)
    async with app:
        await work_off(app)
    await asyncio.to_thread(after, *job_ids)


FORK = """
import asyncio, json, os, sys
from corral import Corral

app = Corral(sys.argv[1])

@app.queue("work").job("work")
async def work(data: str) -> None: ...

first = work.add_sync("parent before")
pid = os.fork()
if pid == 0:
    print(json.dumps(["child", work.add_sync("child")]), flush=True)
    os._exit(0)
_, status = os.waitpid(pid, 0)
print(json.dumps(["parent", work.add_sync("parent after")]), flush=True)
asyncio.run(app.close())
sys.exit(status)
"""


async def test_add_sync_works_in_a_forked_child_and_goes_on_in_its_parent(url: str, tmp_path: Path) -> None:
    script = tmp_path / "fork.py"
    script.write_text(FORK)
    process = await python(str(script), url)
    assert await answers(process) == [["child", "2"], ["parent", "3"]]
    async with Corral(url) as app:
        page = await (await app.queue("work").open()).page(newest_first=False)
    assert [job.data for job in page.items] == ['"parent before"', '"child"', '"parent after"']


def test_flows_and_uniqueness_from_blocking_code(url: str) -> None:
    with Queue("mail", url) as queue:
        dag = Dag()
        dag.add("one", node("mail", "part"))
        dag.add("two", node("mail", "whole"), after="one")
        one, two = queue.add_flow(dag)
        assert queue.children(two).pending == (("mail", one),)
        assert queue.why(two).reasons[0].cause is Cause.CHILDREN
        first = queue.add("report", {"user": 7}, unique=["user"])
        assert queue.add("report", {"user": 7}, unique=["user"]) == first
        [dedup_id] = [job.dedup_id for job in queue.page().items if job.dedup_id]
        assert queue.deduplication(dedup_id) == first
        assert queue.stop_deduplication(dedup_id) == first
        late = queue.add("later", delay=3600)
        assert queue.promote(late) == [late]


def verbs(kind: type) -> set[str]:
    return {name for name, verb in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_blocking_code_has_every_verb_but_those_of_workers_and_readers() -> None:
    of_workers_and_readers = {"claim", "recover", "events", "new", "handle", "add_jobs"}
    assert verbs(AsyncQueue) - verbs(Queue) == of_workers_and_readers
    assert verbs(AsyncGroup) == verbs(Group)


def test_limits_and_holds_from_blocking_code(url: str) -> None:
    with Queue("mail", url) as queue:
        info = queue.limit(RateLimit(5, 60), concurrency=3)
        assert (info.rate_limit, info.concurrency) == (RateLimit(5, 60), 3)
        queue.limit_name("welcome", concurrency=2)
        queue.limit_groups(GroupLimits(concurrency=1))
        queue.retain(completed=Keep(count=7))
        info = queue.info()
        assert info.name_concurrency == {"welcome": 2}
        assert info.group_limits == GroupLimits(concurrency=1)
        assert info.keep_completed == Keep(count=7)
        assert not queue.full()
        queue.hold(3600, "they asked for it")
        assert queue.limited_for() > 3000
        queue.lift()
        assert queue.limited_for() == 0


def test_groups_from_blocking_code(url: str) -> None:
    with Queue("mail", url) as queue:
        queue.add("welcome", group="acme")
        acme = queue.group("acme")
        acme.pause()
        acme.limit(GroupLimits(concurrency=4))
        acme.hold(3600, "no")
        info = acme.info()
        assert (info.waiting, info.paused, info.limits) == (1, True, GroupLimits(concurrency=4))
        acme.resume()
        acme.lift()
        assert not acme.info().paused
        assert [group.id for group in queue.groups().items] == ["acme"]
        with pytest.raises(ConfigError):
            queue.group("")


def test_changing_and_deleting_jobs_from_blocking_code(url: str) -> None:
    with Queue("mail", url) as queue:
        first, second, late = queue.add("one"), queue.add("two"), queue.add("three", delay=3600)
        queue.update(second, data={"to": "ann"}, priority=1)
        assert queue.get(second).data == '{"to":"ann"}'
        place = queue.place(second)
        assert place is not None
        assert place.ahead == 0
        assert queue.counts_by_priority() == {1: 1, 0: 1}
        assert queue.log(first, "looked at") == 1
        assert list(queue.logs(first).items) == ["looked at"]
        assert queue.cancel(late) == [late]
        assert queue.clean() == [late]
        assert set(queue.drain()) == {first, second}
        queue.add("four")
        queue.obliterate()
        assert queue.counts().waiting == 0
