"""events and emit: what happened, in order, readable from anywhere, and bounded."""

import asyncio

from corral.event import Event, EventType
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Storage

from .helpers import QUEUE, T0, Tape, add_ids, new_job, run_through

#: What a reader is asked to wait at most. A test that waits this long has failed: `PATIENCE` ends it before.
LONG = 60.0
PATIENCE = 10.0


def note(n: int, *, queue: str = QUEUE, at: int = T0) -> Event:
    return Event(type=EventType.CLEANED, queue=queue, at=at, detail=str(n))


async def test_an_empty_log_answers_a_cursor_to_go_on_from(storage: Storage) -> None:
    events, cursor = await storage.events(QUEUE, after="")
    assert events == []
    await add_ids(storage, "a")
    events, _ = await storage.events(QUEUE, after=cursor)
    assert [event.job_id for event in events if event.type is EventType.ADDED] == ["a"]


async def test_the_empty_cursor_is_the_oldest_event(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    events, _ = await storage.events(QUEUE, after="")
    assert [event.job_id for event in events if event.type is EventType.ADDED] == ["a", "b"]


async def test_the_dollar_is_the_present_moment(storage: Storage) -> None:
    await add_ids(storage, "a")
    events, cursor = await storage.events(QUEUE, after="$")
    assert events == []
    await add_ids(storage, "b")
    events, _ = await storage.events(QUEUE, after=cursor)
    assert {event.job_id for event in events} == {"b"}


async def test_a_reader_goes_on_where_it_stopped(storage: Storage) -> None:
    await storage.emit([note(n) for n in range(25)])
    seen: list[str | None] = []
    cursor = ""
    for _ in range(4):
        events, cursor = await storage.events(QUEUE, after=cursor, limit=7)
        seen += [event.detail for event in events]
    assert seen == [str(n) for n in range(25)]
    assert await storage.events(QUEUE, after=cursor) == ([], cursor)


async def test_the_cursor_of_an_event_is_a_place_to_go_on_from(storage: Storage) -> None:
    await storage.emit([note(n) for n in range(5)])
    events, cursor = await storage.events(QUEUE, after="")
    later, same = await storage.events(QUEUE, after=events[2].cursor)
    assert [event.detail for event in later] == ["3", "4"]
    assert cursor == same == events[-1].cursor
    assert len({event.cursor for event in events}) == 5


async def test_emitted_events_are_appended_with_cursor_and_time(storage: Storage) -> None:
    event = Event(type=EventType.CLEANED, queue=QUEUE, at=T0 + 3, job_id="a", name="n", detail='{"removed":2}')
    await storage.emit([event])
    [stored], _ = await storage.events(QUEUE, after="")
    assert stored.cursor
    assert (stored.type, stored.queue, stored.at) == (EventType.CLEANED, QUEUE, T0 + 3)
    assert (stored.job_id, stored.name, stored.detail) == ("a", "n", '{"removed":2}')


async def test_an_event_without_a_time_gets_the_stores(storage: Storage) -> None:
    await storage.emit([note(1, at=0)])
    [stored], _ = await storage.events(QUEUE, after="")
    assert stored.at > T0


async def test_emitted_events_go_to_their_own_queues(storage: Storage) -> None:
    await storage.emit([note(1), note(2, queue="other"), note(3)])
    here, _ = await storage.events(QUEUE, after="")
    there, _ = await storage.events("other", after="")
    assert ([event.detail for event in here], [event.detail for event in there]) == (["1", "3"], ["2"])


async def test_emitted_events_and_transitions_share_one_order(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await storage.emit([note(1)])
    await run_through(storage, Completed())
    types = [entry[0] for entry in await tape.told()]
    assert types == [EventType.ADDED, EventType.CLEANED, EventType.ACTIVE, EventType.COMPLETED]


async def test_a_waiting_reader_is_woken_by_an_add(storage: Storage) -> None:
    reader = await _reader(storage)
    await storage.add([new_job("a")])
    async with asyncio.timeout(PATIENCE):
        events, cursor = await reader
    assert EventType.ADDED in [event.type for event in events]
    assert cursor == events[-1].cursor


async def test_a_waiting_reader_is_woken_through_another_handle(storage: Storage) -> None:
    async with storage.sibling() as other:
        reader = await _reader(storage)
        await other.emit([note(1)])
        async with asyncio.timeout(PATIENCE):
            events, _ = await reader
    assert [event.detail for event in events] == ["1"]


async def test_an_event_between_two_readings_is_not_waited_past(storage: Storage) -> None:
    _, cursor = await storage.events(QUEUE, after="$")
    await storage.emit([note(1)])
    async with asyncio.timeout(PATIENCE):
        events, _ = await storage.events(QUEUE, after=cursor, timeout=LONG)
    assert [event.detail for event in events] == ["1"]


async def test_another_queues_events_do_not_end_the_wait(storage: Storage) -> None:
    reader = await _reader(storage)
    await storage.emit([note(1, queue="other")])
    await storage.emit([note(2)])
    async with asyncio.timeout(PATIENCE):
        events, _ = await reader
    assert [event.detail for event in events] == ["2"]


async def test_waiting_for_an_event_ends_when_its_time_is_up(storage: Storage) -> None:
    _, cursor = await storage.events(QUEUE, after="$")
    async with asyncio.timeout(PATIENCE):
        assert await storage.events(QUEUE, after=cursor, timeout=0.01) == ([], cursor)


async def test_the_log_is_bounded_at_about_ten_thousand(storage: Storage) -> None:
    await storage.emit([note(1, queue="other")])
    for batch in range(25):
        await storage.emit([note(batch * 1_000 + n) for n in range(1_000)])
    events, _ = await storage.events(QUEUE, after="", limit=100_000)
    assert 9_000 <= len(events) <= 12_000
    assert [event.detail for event in events] == [str(n) for n in range(25_000 - len(events), 25_000)]
    assert len((await storage.events("other", after=""))[0]) == 1


async def test_transitions_are_bounded_too(storage: Storage) -> None:
    for batch in range(14):
        await storage.add([new_job(f"j{batch}-{n}") for n in range(1_000)], now=T0)
    events, _ = await storage.events(QUEUE, after="", limit=100_000)
    assert 4_500 <= len(events) <= 12_000  # a store may write two lines for an event
    assert events[-1].job_id == "j13-999"


async def test_a_reader_left_behind_goes_on_with_what_is_kept(storage: Storage) -> None:
    await storage.emit([note(-1)])
    _, cursor = await storage.events(QUEUE, after="")
    for batch in range(13):
        await storage.emit([note(batch * 1_000 + n) for n in range(1_000)])
    events, _ = await storage.events(QUEUE, after=cursor, limit=1)
    [oldest], _ = await storage.events(QUEUE, after="", limit=1)
    assert events == [oldest]


async def test_a_waiting_reader_is_woken_by_another_process(storage: Storage, storage_url: str) -> None:
    async with connect(storage_url) as other:
        reader = await _reader(storage)
        await other.add([new_job("a")], now=T0)
        async with asyncio.timeout(PATIENCE):
            events, _ = await reader
    assert events[0].job_id == "a"


async def test_a_reader_goes_on_after_the_queue_was_obliterated(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    _, cursor = await storage.events(QUEUE, after="$")
    await storage.obliterate(QUEUE)
    await add_ids(storage, "d")
    events, _ = await storage.events(QUEUE, after=cursor)
    assert "d" in [event.job_id for event in events]


async def _reader(storage: Storage) -> asyncio.Task[tuple[list[Event], str]]:
    """Somebody who waits for an event; on return the reader has had every chance to fall asleep."""
    _, cursor = await storage.events(QUEUE, after="$")
    task = asyncio.create_task(storage.events(QUEUE, after=cursor, timeout=LONG))
    for _ in range(10):
        await asyncio.sleep(0)
    return task
