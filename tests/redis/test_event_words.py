"""Events: BullMQ's stream told in corral's words, and corral's own told so that BullMQ's readers bear them."""

import json

import pytest

from corral.event import Event, EventType
from corral.storage.redis.eventlog import MAX_DETAIL, to_event, to_fields

QUEUE = "mail"
AT = 1_700_000_000_123
ID = f"{AT}-7"


def read(event: str, **fields: str) -> Event | None:
    return to_event(QUEUE, ID, {"event": event, **fields})


#: As a Node producer, worker or queue writes them (jobId left out), and what they are here.
FROM_NODE = [
    ({"event": "added", "name": "welcome"}, EventType.ADDED, None),
    ({"event": "waiting", "prev": "delayed"}, EventType.WAITING, None),
    ({"event": "waiting", "prev": "failed"}, EventType.WAITING, None),
    ({"event": "waiting", "prev": "waiting-children"}, EventType.WAITING, None),
    ({"event": "waiting", "prev": "active"}, EventType.WAITING, None),
    ({"event": "delayed", "delay": "1795321973148.25"}, EventType.DELAYED, "1795321973148"),
    ({"event": "active", "prev": "waiting"}, EventType.ACTIVE, None),
    ({"event": "waiting-children", "prev": "active"}, EventType.WAITING_CHILDREN, None),
    ({"event": "progress", "data": '{"done":1}'}, EventType.PROGRESS, '{"done":1}'),
    ({"event": "completed", "returnvalue": '"ok"', "prev": "active"}, EventType.COMPLETED, '"ok"'),
    ({"event": "failed", "failedReason": 'no "luck"', "prev": "active"}, EventType.FAILED, r'"no \"luck\""'),
    ({"event": "stalled"}, EventType.STALLED, None),
    ({"event": "removed", "prev": "wait"}, EventType.REMOVED, None),
    ({"event": "duplicated"}, EventType.DUPLICATED, None),
    (
        {"event": "deduplicated", "deduplicationId": "d", "deduplicatedJobId": "7"},
        EventType.DEDUPLICATED,
        '{"dedup":"d","kept_out":"7"}',
    ),
    ({"event": "deduplicated", "deduplicationId": "d"}, EventType.DEDUPLICATED, '{"dedup":"d","kept_out":null}'),
    ({"event": "drained"}, EventType.IDLE, None),
    ({"event": "paused"}, EventType.PAUSED, None),
    ({"event": "resumed"}, EventType.RESUMED, None),
    ({"event": "cleaned", "count": "2"}, EventType.CLEANED, "2"),
]


@pytest.mark.parametrize(("fields", "kind", "detail"), FROM_NODE, ids=lambda value: str(value)[:40])
def test_nodes_events_have_a_word_here(fields: dict[str, str], kind: EventType, detail: str | None) -> None:
    event = to_event(QUEUE, ID, {**fields, "jobId": "5"})
    assert event == Event(type=kind, queue=QUEUE, at=AT, cursor=ID, job_id="5", name=fields.get("name"), detail=detail)


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "waiting"},  # an `added` went before
        {"event": "waiting-children"},
        {"event": "waiting", "prev": "active", "corral": "stalled"},  # a `stalled` went before
        {"event": "retries-exhausted", "attemptsMade": "3"},  # a `failed` went before
        {"event": "debounced", "debounceId": "d"},  # a `deduplicated` follows
        {"event": "something-of-their-own", "data": "x"},
        {"event": "waiting", "prev": "active", "corral": "a word of a later version"},
        {},
    ],
    ids=str,
)
def test_what_says_nothing_new_is_passed_over(fields: dict[str, str]) -> None:
    assert to_event(QUEUE, ID, {**fields, "jobId": "5"}) is None


def test_corrals_own_word_wins_over_bullmqs() -> None:
    retrying = read("delayed", jobId="5", delay="99", prev="active", corral="retrying", reason="boom")
    snoozed = read("delayed", jobId="5", delay="99", prev="active", corral="snoozed")
    released = read("waiting", jobId="5", prev="active", corral="released")
    assert retrying is not None
    assert snoozed is not None
    assert released is not None
    assert (retrying.type, retrying.detail) == (EventType.RETRYING, '"boom"')
    assert (snoozed.type, snoozed.detail) == (EventType.SNOOZED, "99")
    assert (released.type, released.detail) == (EventType.RELEASED, None)


def test_a_time_that_was_told_wins_over_the_servers() -> None:
    event = read("added", jobId="5", at="1700")
    assert event is not None
    assert event.at == 1_700


def test_long_results_stay_with_the_job_and_long_reasons_are_cut() -> None:
    completed = read("completed", returnvalue=json.dumps("x" * MAX_DETAIL))
    failed = read("failed", failedReason="x" * 5 * MAX_DETAIL)
    assert completed is not None
    assert failed is not None
    assert completed.detail is None
    assert failed.detail == json.dumps("x" * (MAX_DETAIL // 2))


@pytest.mark.parametrize("kind", EventType)
@pytest.mark.parametrize("detail", [None, '"some text"', "17", '{"a":[]}'])
def test_an_emitted_event_is_read_as_it_was(kind: EventType, detail: str | None) -> None:
    event = Event(type=kind, queue=QUEUE, at=AT + 1, cursor=ID, job_id="5", name="welcome", detail=detail)
    fields = to_fields(event)
    stored = dict(zip(fields[::2], fields[1::2], strict=True))
    again = to_event(QUEUE, ID, stored)
    assert again is not None
    assert (again.type, again.at, again.job_id, again.name) == (kind, AT + 1, "5", "welcome")
    assert detail is None or again.detail == detail


@pytest.mark.parametrize("kind", [EventType.COMPLETED, EventType.PROGRESS])
def test_what_node_parses_is_always_json(kind: EventType) -> None:
    for detail in (None, "1", '"' + "x" * MAX_DETAIL + '"'):
        fields = to_fields(Event(type=kind, queue=QUEUE, at=AT, job_id="5", detail=detail))
        stored = dict(zip(fields[::2], fields[1::2], strict=True))
        json.loads(stored["returnvalue" if kind is EventType.COMPLETED else "data"])
