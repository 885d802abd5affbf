"""The context of a handler in a child process: the same verbs as elsewhere, asked and answered over a pipe."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from corral import Corral, JobContext, SyncJobContext
from corral.errors import (
    ConfigError,
    CorralError,
    JobCancelledError,
    LeaseLostError,
    PayloadError,
    StorageFullError,
)
from corral.job import Job, NewJob, ParentRef
from corral.storage.port import Children as Siblings
from corral.storage.port import Claim, Storage, Token
from corral.timing import Seconds
from corral.worker.children import Children, RemoteError
from corral.worker.invoke import ChildContext, SyncChildContext
from corral.worker.talk import Line, Talk
from corral.worker.wire import Answer, Ask, Done, Inbox, Log, Recall, pack, replies
from tests.engine import processes
from tests.engine.child_pools import Listener, Pools, request, run, spotless
from tests.engine.helpers import GUARD, working


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    async with spotless() as pools:
        yield pools


@pytest.fixture
def pool(pools: Pools) -> Children:
    """A pool of one child."""
    return pools()


# -- with a worker and a store -----------------------------------------------------------------------------------------


async def test_process_handlers_run_in_another_process_with_progress_log_and_result(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)
    work = queue.job("work", process=True)(processes.work)
    work_async = queue.job("work-async", process=True)(processes.work_async)
    async with working(app):
        live = await queue.open()
        for job in (work, work_async):
            handle = await job.add(processes.Order(number=7))
            pid, number, attempt = await handle.result()
            assert pid != os.getpid()
            assert (number, attempt) == (7, 1)
            assert (await handle.get()).progress == "50"
            assert (await live.logs(handle.id)).items == ("half way",)


def declared(app: Corral, mode: str, handlers: dict[str, Any]) -> Any:  # of two kinds of payload
    return app.queue("work", attempts=2).job("job", process=True)(handlers[mode])


@pytest.mark.parametrize("mode", ["def", "async def"])
async def test_a_later_attempt_in_a_child_process_finds_what_an_earlier_one_noted(
    app: Corral, tmp_path: Path, mode: str
) -> None:
    box = tmp_path / "box"
    job = declared(app, mode, {"def": processes.email, "async def": processes.email_async})
    async with working(app):
        handles = [await job.add(str(box)) for _ in range(2)]
        assert [await handle.result() for handle in handles] == [{"already_sent": True}] * 2
    assert sorted(box.read_text().split()) == [handle.id for handle in handles]  # each once


@pytest.mark.parametrize("mode", ["def", "async def"])
async def test_a_parent_in_a_child_process_sees_its_children(app: Corral, mode: str) -> None:
    declared(app, mode, {"def": processes.gather, "async def": processes.gather_async})
    queue = app.queue("kids")

    @queue.job("kid")
    async def kid(data: int) -> int:
        return data * 2

    parent = ParentRef(queue="work", id="parent")
    live = await app.open_queue("work")
    await live.add_jobs(
        [NewJob(queue="work", name="job", id="parent", children=2)]
        + [NewJob(queue="kids", name="kid", id=f"kid-{data}", data=data, parent=parent) for data in "37"]
    )
    async with working(app):
        assert await live.result("parent") == [[], {"kid-3": "6", "kid-7": "14"}, {}]


def test_the_usual_annotations_fit_handlers_for_child_processes(app: Corral) -> None:
    queue = app.queue("work")
    queue.job("def", process=True)(processes.work)
    queue.job("async-def", process=True)(processes.work_async)
    assert issubclass(ChildContext, JobContext)
    assert issubclass(SyncChildContext, SyncJobContext)


async def lost(storage: Storage) -> JobContext:
    """The context of a run whose lease another run has."""
    await storage.add([NewJob(queue="crunch", name="meet_refusals", id="1")])
    claimed = await storage.claim("crunch", Claim(count=1, token=Token("the owner"), lease_ms=60_000))
    return JobContext(claimed.jobs[0], 3, storage, Token("another"))


@pytest.mark.parametrize("handler", ["meet_refusals", "meet_refusals_async"])
async def test_progress_after_the_lease_was_lost_raises_in_the_handler(
    app: Corral, pool: Children, handler: str
) -> None:
    text = "LeaseLostError: the lease on job '1' is lost: another run owns it"
    assert await run(pool, handler, listener=await lost(await app.open())) == [text]


@pytest.mark.parametrize("handler", ["report", "report_async"])
async def test_a_lost_lease_that_the_handler_lets_through_comes_back_as_itself(
    app: Corral, pool: Children, handler: str
) -> None:
    with pytest.raises(LeaseLostError) as caught:
        await run(pool, handler, listener=await lost(await app.open()))
    assert (caught.value.queue, caught.value.job_id) == ("crunch", "1")


# -- every verb --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["use_every_verb", "use_every_verb_async"])
async def test_every_verb_works_and_the_context_is_of_the_annotated_class(pool: Children, handler: str) -> None:
    ears = Listener()
    ears.family = Siblings(pending=(("mail", "7"),), completed={"8": "[1]"}, failed={"9": "no"})
    kin = [[["mail", "7"]], {"8": "[1]"}, {"9": "no"}]
    assert await run(pool, handler, listener=ears) == [True, False, ["value", None], kin, False]
    assert (ears.progress, ears.logs, ears.notes) == ([{"done": 1}], ["here"], {"key": "value"})
    assert ears.keeps == [timedelta(seconds=90)]


def test_no_verb_of_a_context_is_left_to_a_store_that_a_child_does_not_have() -> None:
    def verbs(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if inspect.iscoroutinefunction(value) and name[0] != "_"}

    assert verbs(JobContext) - verbs(ChildContext) == {"progress"}  # which is `progress_json` with its value as JSON


class Full(Listener):
    """A store without room, whose driver has an error class of its own."""

    class NoRoomError(StorageFullError):
        pass

    async def progress_json(self, text: str) -> None:
        raise PayloadError("progress is refused", ["too long", "too late"])

    async def log(self, line: str) -> None:
        raise StorageFullError("the disk is full")

    async def children(self) -> Siblings:
        raise LeaseLostError("crunch", "1")

    async def recall(self, key: str) -> str | None:
        raise CorralError("something else")

    async def note(self, key: str, value: str, *, keep: Seconds) -> None:
        raise self.NoRoomError("the table is full")


@pytest.mark.parametrize("handler", ["meet_refusals", "meet_refusals_async"])
async def test_what_a_verb_is_refused_with_is_raised_in_the_handler_and_the_child_goes_on(
    pool: Children, handler: str
) -> None:
    before = await run(pool, "count")
    assert await run(pool, handler, listener=Full()) == [
        "PayloadError: progress is refused; too long; too late",
        "StorageFullError: the disk is full",
        "LeaseLostError: the lease on job '1' is lost: another run owns it",
        "CorralError: something else",
        "StorageFullError: the table is full",
    ]
    assert cast(list[int], before)[0] == cast(list[int], await run(pool, "count"))[0]


async def test_a_verb_that_breaks_ends_the_child_and_is_raised(pool: Children) -> None:
    class Broken(Listener):
        async def progress_json(self, text: str) -> None:
            raise TimeoutError("the driver has a bug")

    with pytest.raises(TimeoutError, match=r"^the driver has a bug$"):
        await pool.run(request("spin"), Broken(), timeout=30)


@pytest.mark.parametrize("handler", ["meet_refusals", "meet_refusals_async"])
async def test_questions_and_answers_that_do_not_fit_into_a_message_are_refused(pool: Children, handler: str) -> None:
    ears = Listener()
    ears.notes["key"] = "x" * 17_000_000
    met = cast(list[str], await run(pool, handler, {"size": 17_000_000}, listener=ears))
    assert [text.partition(" has ")[0] for text in met] == [
        "PayloadError: the answer",
        "PayloadError: what the handler tells its context",
    ]


async def test_a_note_that_is_no_text_or_is_kept_for_no_time_fails_in_the_handler(pool: Children) -> None:
    with pytest.raises(PayloadError, match="note 'key' must be text, not int"):
        await run(pool, "note_a_number")
    with pytest.raises(RemoteError, match="keep must be at least 0 s, not -1") as caught:
        await run(pool, "note_for_no_time")
    assert caught.value.is_a(ConfigError)


@pytest.mark.parametrize("handler", ["note_from_many_tasks", "note_from_many_threads"])
async def test_many_long_questions_at_once_are_all_answered(pool: Children, handler: str) -> None:
    assert await run(pool, handler, {"tasks": 32, "size": 300_000}) is True


async def test_a_fork_of_the_handler_cannot_use_its_context(pool: Children) -> None:
    assert "not to its forks" in cast(str, await run(pool, "ask_in_a_fork"))


# -- the talk itself ---------------------------------------------------------------------------------------------------


class Wire:
    """Both ends of the talk in one process: the test is the worker."""

    def __init__(self) -> None:
        requests, self.to_child = os.pipe()
        self.from_child, self._replies = os.pipe()
        os.set_blocking(self.from_child, False)
        self.talk = Talk(Line(requests, self._replies))
        self._fds = {requests, self.to_child, self.from_child, self._replies}

    def answer(self, number: int, value: str) -> None:
        os.write(self.to_child, pack(Answer(number, value)))

    def hang_up(self) -> None:
        os.close(self.to_child)
        self._fds.remove(self.to_child)

    def sent(self) -> list[object]:
        """What the child has sent since the last time."""
        inbox, found = Inbox(), []
        inbox.feed(os.read(self.from_child, 65_536))
        while (frame := inbox.take()) is not None:
            found.append(replies.decode(frame))
        return found

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


async def test_a_flood_of_questions_is_one_question_at_a_time(wire: Wire) -> None:
    tasks = [asyncio.ensure_future(wire.talk.ask_async(Log(f"{number}"))) for number in range(100)]
    for number in range(100):
        await asyncio.wait(tasks[number : number + 1], timeout=0)  # every task has had its turn
        assert wire.sent() == [Ask(number + 1, Log(f"{number}"))]
        wire.answer(number + 1, "done")
        await asyncio.wait_for(tasks[number], GUARD)
        await asyncio.sleep(0)


async def test_an_answer_that_nobody_awaits_any_more_is_not_taken_for_the_next_one(wire: Wire) -> None:
    given_up = asyncio.ensure_future(wire.talk.ask_async(Recall("old")))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    following = asyncio.ensure_future(wire.talk.ask_async(Recall("new")))
    await asyncio.sleep(0)
    assert wire.sent() == [Ask(1, Recall("old"))]  # the new question waits until the pipe is clear
    wire.answer(1, "for the old one")
    wire.answer(2, "for the new one")
    assert await asyncio.wait_for(following, GUARD) == Answer(2, "for the new one")


def test_a_blocking_question_passes_over_the_answer_to_an_interrupted_one(wire: Wire) -> None:
    wire.talk._line.ask(Recall("interrupted"))
    wire.answer(1, "for the interrupted one")
    wire.answer(2, "for the new one")
    assert wire.talk.ask(Recall("new")) == Answer(2, "for the new one")


def test_a_verdict_waits_for_the_answer_that_is_still_to_come(wire: Wire) -> None:
    wire.talk._line.ask(Recall("interrupted"))
    wire.answer(1, "for the interrupted one")
    wire.talk.end(Done("1"))
    assert wire.sent() == [Ask(1, Recall("interrupted")), Done("1")]
    assert not wire.talk._line.owed


async def test_the_context_of_an_async_handler_belongs_to_its_loop(wire: Wire) -> None:
    with pytest.raises(CorralError, match="belongs to the event loop that runs it"):
        await asyncio.to_thread(lambda: asyncio.run(wire.talk.ask_async(Recall("key"))))


ENDS: dict[str, Callable[[Wire], None]] = {
    "the job is over": lambda wire: wire.talk.end(Done("1")),
    "the worker hung up": Wire.hang_up,
}


@pytest.mark.parametrize("end", ENDS)
async def test_when_nobody_listens_lines_are_lost_and_every_other_verb_raises(wire: Wire, job: Job, end: str) -> None:
    context, blocking = ChildContext(job, 3, wire.talk.ask_async), SyncChildContext(job, 3, wire.talk)
    assert not blocking.stopping
    ENDS[end](wire)
    await context.log("late")
    blocking.log("late")
    for verb in (context.progress(1), context.children(), context.recall("key"), context.note("key", "value")):
        with pytest.raises(LeaseLostError):
            await verb
    with pytest.raises(LeaseLostError):
        blocking.progress(1)
    assert blocking.stopping
    with pytest.raises(JobCancelledError):
        blocking.check()
    with pytest.raises(JobCancelledError):
        blocking.wait(0)


@pytest.fixture
def job() -> Job:
    return request("echo").job
