"""Searches by tag, trace and flow, and by what a list does not tell: logs, children, stuck and stalled jobs."""

import pytest

from corral.errors import QueryError
from corral.job import JobState, ParentRef
from corral.monitor import deep, search
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Jobs
from corral.options import JobOptions, ParentPolicy
from corral.outcome import Completed, Failed
from corral.storage.port import Selection, Storage
from tests.storage.helpers import MINUTE, QUEUE, SECOND, T0, Clock, add, add_ids, beat, new_job, run_through, start

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f'{{"traceparent": "00-{TRACE_ID}-00f067aa0ba902b7-01", "tracestate": "x=1"}}'
HOUR = 60 * MINUTE


def ids(found: Jobs) -> list[str]:
    return [row.id for row in found.items]


async def found(monitor: Monitor, q: str, **options: object) -> list[str]:
    answer = await monitor.jobs(q, **options)  # type: ignore[arg-type]  # options of any kind
    assert answer.scan.complete
    return sorted(ids(answer))


@pytest.fixture
async def told(storage: Storage) -> None:
    """Jobs with tags, traces and an origin."""
    await add(
        storage,
        new_job("plain"),
        new_job("acme", options=JobOptions(tags=("tenant-42", "eu west"))),
        new_job("both", options=JobOptions(tags=("tenant-7",), trace=TRACE)),
        new_job("traced", options=JobOptions(trace=TRACE.upper().replace("TRACEPARENT", "traceparent"))),
        new_job("odd", options=JobOptions(trace="no JSON", rerun_of="mail/plain")),
    )


@pytest.mark.parametrize(
    ("q", "jobs"),
    [
        ("tag:tenant-42", ["acme"]),
        ('tag:"eu west"', ["acme"]),
        ("tag:tenant-*", ["acme", "both"]),
        ("tag:tenant-7,tenant-42", ["acme", "both"]),
        ("tag:tenant-42 tag:tenant-7", []),
        ("tag:~WEST", ["acme"]),
        ("tags:tenant-7", ["both"]),
        ("-tag:tenant-42", ["both", "odd", "plain", "traced"]),
        ("-tag:tenant-*", ["odd", "plain", "traced"]),
        (f"trace:{TRACE_ID}", ["both", "traced"]),
        ("trace:4bf92f35", ["both", "traced"]),
        ("trace:4BF92*", ["both", "traced"]),
        ("trace:92f35", []),
        ("trace:~92f35", ["both", "traced"]),
        ("trace:00", []),
        ("-trace:4bf9", ["acme", "odd", "plain"]),
        ("has:trace", ["both", "odd", "traced"]),
        ("has:tags", ["acme", "both"]),
        ("-has:tags has:trace", ["odd", "traced"]),
        ("is:rerun", ["odd"]),
        ("-is:rerun has:trace", ["both", "traced"]),
    ],
)
async def test_jobs_are_found_by_what_was_said_of_them(monitor: Monitor, told: None, q: str, jobs: list[str]) -> None:
    assert await found(monitor, q) == jobs


async def test_a_row_tells_tags_trace_and_origin(monitor: Monitor, told: None) -> None:
    [row] = (await monitor.jobs("id:both")).items
    assert (row.tags, row.trace_id, row.rerun_of) == (("tenant-7",), TRACE_ID, None)
    [row] = (await monitor.jobs("id:odd")).items
    assert (row.tags, row.trace_id, row.rerun_of) == ((), None, "mail/plain")
    assert (await monitor.job(QUEUE, "both")).row.trace_id == TRACE_ID


# -- logs, children ----------------------------------------------------------------------------------------------------


async def test_jobs_with_log_lines_are_found(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, *(f"j{n:02}" for n in range(45)))
    for one in ("j03", "j17", "j44"):
        await storage.log(QUEUE, one, ["line"])
    assert await found(monitor, "has:logs") == ["j03", "j17", "j44"]
    assert len(await found(monitor, "-has:logs")) == 42
    assert await found(monitor, "has:logs id:j03,j04") == ["j03"]
    assert await found(monitor, "has:logs,worker id:j03,j04") == ["j03"]


async def test_pages_of_such_a_search_have_each_job_once(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, *(f"j{n:02}" for n in range(45)))
    for n in range(45):
        await storage.log(QUEUE, f"j{n:02}", ["line"])
    seen: list[str] = []
    answer = await monitor.jobs("has:logs", limit=7)
    while answer.scan.cursor is not None:
        seen += ids(answer)
        answer = await monitor.jobs("has:logs", limit=7, cursor=answer.scan.cursor)
    assert [*seen, *ids(answer)] == [f"j{n:02}" for n in range(45)]


async def test_parents_are_found_whether_or_not_their_children_have_ended(monitor: Monitor, storage: Storage) -> None:
    for name in ("open", "over"):
        await add(storage, new_job(name, children=1), new_job(f"of-{name}", parent=ParentRef(QUEUE, name), queue=name))
    await run_through(storage, Completed(), queue="over")
    await run_through(storage, Completed())
    await add_ids(storage, "single")
    assert await found(monitor, "has:children") == ["open", "over"]
    assert await found(monitor, "-has:children queue:mail") == ["single"]
    assert await found(monitor, "has:children state:completed") == ["over"]
    assert await found(monitor, "has:children -is:finished") == ["open"]


# -- stuck, stalled ----------------------------------------------------------------------------------------------------


async def test_what_runs_far_too_long_is_stuck(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add(
        storage, new_job("ever"), new_job("limited", options=JobOptions(timeout_ms=30_000)),
        new_job("patient", options=JobOptions(timeout_ms=3 * HOUR)),
    )  # fmt: skip
    await start(storage, 3)
    await add_ids(storage, "waits")
    clock.tick(89 * SECOND)
    assert await found(monitor, "is:stuck") == []
    clock.tick(2 * SECOND)
    assert await found(monitor, "is:stuck") == ["limited"]
    clock.tick(HOUR)
    assert await found(monitor, "is:stuck") == ["ever", "limited"]
    assert await found(monitor, "-is:stuck") == ["patient", "waits"]


async def test_a_parent_all_of_whose_children_have_failed_is_stuck(monitor: Monitor, storage: Storage) -> None:
    for name in ("open", "half", "dead"):
        kids = [new_job(f"{name}-{n}", parent=ParentRef(QUEUE, name, ParentPolicy.WAIT), queue=name) for n in range(2)]
        await add(storage, new_job(name, children=2), *kids)
    await run_through(storage, Failed("no"), queue="half")
    await run_through(storage, Failed("no"), queue="dead")
    await run_through(storage, Completed(), queue="dead")
    assert await found(monitor, "is:stuck") == ["dead"]
    assert await found(monitor, "is:stuck,late") == ["dead"]
    assert await found(monitor, "-is:stuck state:waiting-children") == ["half", "open"]


async def test_jobs_of_a_worker_that_is_not_seen_are_stalled(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    for name in ("w-1", "w-2"):
        await storage.heartbeat(beat(name, id=name), [], lease_ms=15_000, now=T0)
    await add_ids(storage, "mine", "waits")
    await start(storage)  # on w-1
    clock.tick(29 * SECOND)
    assert await found(monitor, "is:stalled") == []
    clock.tick(2 * SECOND)
    assert await found(monitor, "is:stalled") == ["mine"]
    assert await found(monitor, "-is:stalled") == ["waits"]
    await storage.heartbeat(beat("w-1", id="w-1"), [], lease_ms=15_000, now=clock.now)
    assert await found(monitor, "is:stalled") == []


async def test_jobs_of_a_worker_that_nobody_knows_are_not_called_stalled(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "of-node")
    await start(storage)
    clock.tick(5 * MINUTE)
    assert await found(monitor, "is:stalled") == []


# -- flows -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def flow(storage: Storage) -> None:
    """A flow of three levels in two queues, another one, and a job of none."""
    await add(
        storage, new_job("top", children=2), new_job("left", queue="leaf", parent=ParentRef(QUEUE, "top"), children=1),
        new_job("right", queue="leaf", parent=ParentRef(QUEUE, "top")),
        new_job("deep", queue="leaf", parent=ParentRef("leaf", "left")),
        new_job("other", children=1), new_job("kid", queue="leaf", parent=ParentRef(QUEUE, "other")), new_job("single"),
    )  # fmt: skip
    await run_through(storage, Completed(), queue="leaf")


async def test_a_flow_is_the_job_and_all_below_it(monitor: Monitor, flow: None) -> None:
    answer = await monitor.jobs("flow:top")
    assert ids(answer) == ["top", "left", "right", "deep"]
    assert (answer.scan.strategy, answer.scan.examined, answer.scan.candidates) == ("flow", 4, 4)
    assert await found(monitor, "flow:mail/top") == ["deep", "left", "right", "top"]
    assert await found(monitor, "flow:leaf/left") == ["deep", "left"]
    assert await found(monitor, "flow:leaf/top") == []
    assert await found(monitor, "flow:left,other") == ["deep", "kid", "left", "other"]
    assert await found(monitor, "flow:top flow:left") == ["deep", "left"]


async def test_of_a_flow_only_those_that_fit_the_rest_are_found(monitor: Monitor, flow: None) -> None:
    assert await found(monitor, "flow:top state:completed") == ["right"]
    assert await found(monitor, "flow:top queue:leaf -state:completed") == ["deep", "left"]
    assert await found(monitor, "flow:top", queue="leaf") == ["deep", "left", "right"]
    assert await found(monitor, "flow:top id:left,kid") == ["left"]
    assert await found(monitor, "-flow:top") == ["kid", "other", "single"]
    assert await found(monitor, "-flow:top,other") == ["single"]
    assert await found(monitor, "flow:top has:children") == ["left", "top"]


async def test_what_the_reader_may_not_see_of_a_flow_is_not_there(monitor: Monitor, flow: None) -> None:
    assert await found(monitor, "flow:top", visible=("mail",)) == ["top"]
    assert await found(monitor, "flow:top", visible=("leaf",)) == []
    assert await found(monitor, "flow:left", visible=("leaf",)) == ["deep", "left"]


async def test_pages_of_a_flow_go_on_where_they_stopped(
    monitor: Monitor, flow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SLICE", 3)
    first = await monitor.jobs("flow:top -state:completed", limit=2)
    assert (ids(first), first.scan.complete) == (["top", "left"], False)
    second = await monitor.jobs("flow:top -state:completed", limit=2, cursor=first.scan.cursor)
    assert (ids(second), second.scan.complete, second.scan.cursor) == (["deep"], True, None)


async def test_a_flow_that_is_too_large_is_said_to_be(
    monitor: Monitor, flow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "MOST", 2)
    answer = await monitor.jobs("flow:top")
    assert (len(answer.items), answer.scan.complete, answer.scan.cursor) == (2, False, None)


@pytest.mark.parametrize("q", ["flow:~top", "flow:to*", "flow:>1"])
async def test_a_flow_is_named_by_a_job(monitor: Monitor, q: str) -> None:
    with pytest.raises(QueryError, match="flow names a job") as caught:
        await monitor.jobs(q)
    assert caught.value.position == q.index(":") + 1 + (q[5] in "~>")


# -- far down a list ---------------------------------------------------------------------------------------------------


async def test_hundreds_that_ended_in_one_moment_are_all_shown_once(monitor: Monitor, storage: Storage) -> None:
    everyone = [f"j{n:03}" for n in range(700)]
    await add_ids(storage, *everyone)
    await storage.cancel(QUEUE, Selection(states=frozenset({JobState.WAITING})), now=T0)
    seen: list[str] = []
    answer = await monitor.jobs("state:failed", limit=150)
    while answer.scan.cursor is not None:
        seen += ids(answer)
        answer = await monitor.jobs("state:failed", limit=150, cursor=answer.scan.cursor)
    assert sorted([*seen, *ids(answer)]) == everyone


async def test_the_place_among_those_that_ended_together_is_found_again(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, *(f"j{n:03}" for n in range(700)))
    await storage.cancel(QUEUE, Selection(states=frozenset({JobState.WAITING})), now=T0)
    first = await monitor.jobs("state:failed", limit=400)
    gone = ids(first)[:300]
    await storage.remove(QUEUE, Selection(ids=tuple(gone)), now=T0)
    rest = await monitor.jobs("state:failed", limit=400, cursor=first.scan.cursor)
    assert len(rest.items) == 300
    assert not set(ids(rest)) & set(ids(first))


async def test_whoever_removes_what_is_shown_sees_all(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, *(f"j{n:03}" for n in range(500)))
    await storage.cancel(QUEUE, Selection(states=frozenset({JobState.WAITING})), now=T0)
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < 500:
        answer = await monitor.jobs("state:failed", limit=120, cursor=cursor)
        assert answer.items
        seen += ids(answer)
        await storage.remove(QUEUE, Selection(ids=tuple(ids(answer))), now=T0)
        cursor = answer.scan.cursor
    assert len(set(seen)) == 500
