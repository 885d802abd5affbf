"""Live events: what a stream is told, what it costs the store, and what a viewer who comes back has missed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import pytest

from corral.admin.objects import Operation
from corral.errors import ConfigError, StorageError
from corral.event import Event, EventCursor
from corral.http.live import board, hub, tail
from corral.http.live.hub import Hub
from corral.http.live.stream import ROOM, Message, Stream, marks_of
from corral.http.live.topics import Topics, topics_of
from corral.job import JobId, NewJob
from corral.monitor.monitor import Monitor
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.insight import Page
from corral.storage.passing import Passing
from corral.storage.port import Claim, QueueCounts, Settlement, Storage, Token

GUARD = 30.0
#: What a stream has been told, and no test has looked at yet.
KEPT: WeakKeyDictionary[Stream, list[Message]] = WeakKeyDictionary()


async def nothing_runs() -> Sequence[Operation]:
    return []


def everything(queue: str) -> bool:
    return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other at once."""
    monkeypatch.setattr(hub, "ROUND", 0.01)
    monkeypatch.setattr(tail, "CALM", 0.01)
    for name in ("COUNTS", "RATES", "SLOW"):
        monkeypatch.setattr(board, name, 0.01)
    monkeypatch.setattr("corral.monitor.base.FRESH_MS", 0)


class Counting(Passing):
    """Counts what is asked of the store; fails on demand."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.asked: Counter[str] = Counter()
        self.broken = False
        self.looked = asyncio.Event()  #: at a job's log

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        page = await super().logs(queue, job_id, start=start, limit=limit)
        self.looked.set()
        return page

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        self.asked["counts"] += 1
        if self.broken:
            raise StorageError("gone")
        return await super().counts(queues)

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        if timeout:
            self.asked["tails"] += 1
        return await super().events(queue, after=after, limit=limit, timeout=timeout)


@pytest.fixture
async def storage(storage_url: str) -> AsyncIterator[Counting]:
    async with connect(storage_url) as store:
        yield Counting(store)


@pytest.fixture
def live(storage: Counting) -> Hub:
    return Hub(Monitor(storage), nothing_runs)


async def add(storage: Storage, queue: str, *ids: JobId) -> None:
    await storage.add([NewJob(queue=queue, name="n", id=job_id) for job_id in ids])


async def run(storage: Storage, queue: str) -> None:
    token = Token("t")
    claimed = await storage.claim(queue, Claim(count=10, token=token, lease_ms=60_000))
    verdicts = [Settlement(job_id=job.id, token=token, outcome=Completed('{"secret": 1}')) for job in claimed.jobs]
    await storage.settle(queue, verdicts)


async def told(stream: Stream, fits: Callable[[Message], bool]) -> Message:
    """The next message that fits; what comes after it is kept for the next call."""
    kept = KEPT.setdefault(stream, [])
    async with asyncio.timeout(GUARD):
        while True:
            while kept:
                message = kept.pop(0)
                stream.mark(message)
                if fits(message):
                    return message
            kept += await stream.take(GUARD)


def of(*events: str, **fields: object) -> Callable[[Message], bool]:
    def fits(message: Message) -> bool:
        data = message.data if isinstance(message.data, dict) else {}
        return message.event in events and all(data.get(key) == value for key, value in fields.items())

    return fits


@asynccontextmanager
async def watching(
    live: Hub, topics: str, sees: Callable[[str], bool] = everything, marks: str = ""
) -> AsyncIterator[Stream]:
    stream = Stream(topics_of(topics), sees)
    async with live.joined(stream, marks_of(marks)):
        yield stream


# -- topics ------------------------------------------------------------------------------------------------------------


def test_topics_are_read_with_names_that_hold_commas_and_slashes() -> None:
    found = topics_of("counts, queue:a%2Cb,job:mail/x%2Fy,operation:op_1")
    assert found == Topics(
        board=frozenset({"counts"}), operations=frozenset({"op_1"}), queues=frozenset({"a,b"}),
        jobs=frozenset({("mail", "x/y")}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "name what"), ("count", "'count' is no topic"), ("job:mail", "queue and id"), ("queue:", "no topic"),
     (",".join(f"queue:q{n}" for n in range(21)), "at most 20 queues"), ("counts," * 51, "at most 50"),
     ("x" * 9_000, "characters")],
)  # fmt: skip
def test_topics_that_cannot_be_meant_are_refused_with_the_way_out(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        topics_of(text)


# -- numbers -----------------------------------------------------------------------------------------------------------


async def test_a_viewer_is_told_all_counts_and_then_only_what_changes(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    await add(storage, "b", "j1")
    async with watching(live, "counts") as stream:
        first = await told(stream, of("counts"))
        assert isinstance(first.data, dict)
        assert {queue: fact["waiting"] for queue, fact in first.data.items()} == {"a": 1, "b": 1}
        await add(storage, "a", "j2")
        assert (await told(stream, of("counts"))).data == {"a": {"waiting": 2}}


async def test_who_comes_later_is_told_everything_too(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    async with watching(live, "counts") as first:
        await told(first, of("counts"))
        async with watching(live, "counts") as second:
            message = await told(second, of("counts"))
            assert isinstance(message.data, dict)
            assert message.data["a"]["waiting"] == 1


async def test_queues_outside_of_a_viewers_sight_are_never_told_of(live: Hub, storage: Counting) -> None:
    await add(storage, "mine", "j1")
    await add(storage, "theirs", "j1")
    async with watching(live, "counts,rates", sees=lambda queue: queue == "mine") as stream:
        for event in ("counts", "rates"):
            message = await told(stream, of(event))
            assert isinstance(message.data, dict)
            assert set(message.data) == {"mine"}


async def test_fifty_viewers_cost_the_store_what_one_does(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    async with asyncio.timeout(GUARD):
        streams = [Stream(topics_of("counts,queue:a"), everything) for _ in range(50)]
        contexts = [live.joined(stream, {}) for stream in streams]
        for context in contexts:
            await context.__aenter__()
        for stream in streams:
            await told(stream, of("counts"))
        storage.asked.clear()
        for number in range(20):
            await add(storage, "a", f"x{number}")
            await asyncio.gather(*(told(stream, of("counts")) for stream in streams))
        rounds = storage.asked["counts"]
        assert storage.asked["tails"] <= 25  # one tail, which reads again after each batch
        for context in contexts:
            await context.__aexit__(None, None, None)
    assert rounds < 20 * 25  # far from 50 looks for each change; a quick machine looks several times between two


async def test_without_viewers_the_store_is_left_alone(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    async with watching(live, "counts,queue:a") as stream:
        await told(stream, of("counts"))
    storage.asked.clear()
    for _ in range(50):
        await asyncio.sleep(0)
    assert not storage.asked
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "corral-hub" and not task.cancelling()]


# -- queues and jobs ---------------------------------------------------------------------------------------------------


async def test_a_queue_that_is_looked_at_tells_which_lists_have_changed(live: Hub, storage: Counting) -> None:
    async with watching(live, "queue:a") as stream:
        await add(storage, "a", "j1")
        message = await told(stream, of("jobs"))
        assert message.data == {"queue": "a", "states": {"waiting": 1}, "n": 1}


async def test_a_job_is_followed_to_its_end_without_its_result(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1", "other")
    async with watching(live, "job:a/j1") as stream:
        await run(storage, "a")
        message = await told(stream, of("job", event="completed"))
        assert isinstance(message.data, dict)
        assert message.data["to"] == "completed"
        assert "secret" not in message.text()


async def test_new_lines_of_a_followed_jobs_log_are_told(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    await storage.log("a", "j1", ["old"])
    async with watching(live, "job:a/j1") as stream:
        await told(stream, of("hello"))
        await storage.looked.wait()
        await storage.log("a", "j1", ["new"])
        message = await told(stream, of("log"))
        assert message.data == {"queue": "a", "id": "j1", "n": 1, "message": "new"}


# -- coming back -------------------------------------------------------------------------------------------------------


async def test_who_comes_back_is_told_what_was_missed(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j0")
    async with watching(live, "job:a/j1,queue:a") as stream:
        await add(storage, "a", "j1")
        message = await told(stream, of("job", event="added"))
        mark = stream.mark(message)
    assert mark
    await run(storage, "a")
    async with watching(live, "job:a/j1,queue:a", marks=mark) as again:
        hello = await told(again, of("hello"))
        assert isinstance(hello.data, dict)
        assert hello.data["resume"] is True
        await told(again, of("job", event="completed"))


async def test_who_comes_back_too_late_is_told_to_begin_anew(live: Hub, storage: Counting) -> None:
    async with watching(live, "queue:a") as stream:
        await add(storage, "a", "j1")
        mark = stream.mark(await told(stream, of("jobs")))
    assert mark
    await storage.obliterate("a", force=True)
    await add(storage, "a", "j2")
    async with watching(live, "queue:a", marks=mark) as again:
        hello = await told(again, of("hello"))
        assert isinstance(hello.data, dict)
        assert hello.data["resume"] is False


async def test_an_outage_is_told_once_and_so_is_its_end(live: Hub, storage: Counting) -> None:
    await add(storage, "a", "j1")
    async with watching(live, "counts") as stream:
        await told(stream, of("counts"))
        storage.broken = True
        await told(stream, of("degraded"))
        storage.broken = False
        found = [await told(stream, of("counts", "recovered")) for _ in range(2)]
        # All counts, as nobody knows what has changed meanwhile.
        assert {message.event for message in found} == {"counts", "recovered"}


# -- slow viewers ------------------------------------------------------------------------------------------------------


async def test_numbers_that_were_not_fetched_become_one_message() -> None:
    stream = Stream(topics_of("counts"), everything)
    stream.put(Message("counts", {"a": {"waiting": 1, "active": 0}}))
    stream.put(Message("counts", {"a": {"waiting": 2}, "b": {"waiting": 5}}))
    [message] = await stream.take(GUARD)
    assert message.data == {"a": {"waiting": 2, "active": 0}, "b": {"waiting": 5}}


async def test_a_viewer_who_is_too_slow_is_cut_off_and_told_nothing_false() -> None:
    stream = Stream(topics_of("job:a/j1"), everything)
    for number in range(ROOM):
        stream.put(Message("job", {"n": number}))
    assert not stream.overrun
    stream.put(Message("job", {"n": ROOM}))
    assert stream.overrun
    assert await stream.take(GUARD) == []
