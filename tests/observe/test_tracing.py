"""Traces: one leads from whoever adds a job through the store to where it runs, and on to what it adds."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import apsw
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from corral import Corral, Every, JobContext, Snooze
from corral.job import JobState, NewJob
from corral.observe.run_spans import LONG_MS
from corral.observe.tracing import instrument, record_counts
from corral.options import JobOptions
from corral.timing import now_ms
from tests.engine.helpers import work_off
from tests.observe.spans import Seen, about, parent_of, span_id, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CARRIER = json.dumps({"traceparent": f"00-{TRACE}-{PARENT}-01"})


@pytest.fixture
def app(storage_url: str, seen: Seen) -> Corral:
    app = Corral(storage_url)
    instrument(app, tracer_provider=seen.provider, meter_provider=seen.meters)
    return app


async def test_a_run_goes_on_in_the_trace_of_whoever_added_the_job(app: Corral, seen: Seen) -> None:
    within: list[int] = []

    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, to: str) -> None:
        within.append(span_id(trace.get_current_span()))

    async with app:
        with seen.tracer.start_as_current_span("request") as request:
            handle = await welcome.add("ann")
        await work_off(app)
    add, run = seen.one("add mail.welcome"), seen.one("process mail")
    assert {trace_of(add), trace_of(run)} == {request.get_span_context().trace_id}
    assert parent_of(add) == span_id(request)
    assert parent_of(run) == span_id(add)
    assert within == [span_id(run)]
    assert [link.context.span_id for link in run.links] == [span_id(add)]
    assert (add.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    system = {"sqlite": "corral"}.get(app.url.partition(":")[0], "bullmq")
    for span, operation in ((add, "add"), (run, "process")):
        told = about(span)
        assert told["messaging.system"] == system
        assert told["messaging.destination.name"] == told["bullmq.queue.name"] == "mail"
        assert told["messaging.operation.name"] == operation
        assert told["messaging.message.id"] == told["bullmq.job.id"] == handle.id
        assert told["bullmq.job.name"] == "welcome"
    assert about(run)["corral.outcome"] == "completed"
    assert run.status.status_code is StatusCode.UNSET


async def test_no_payload_result_or_option_stands_in_a_span(app: Corral, seen: Seen) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: dict[str, str]) -> str:
        await ctx.progress({"to": "s3cret"})
        return "s3cret"

    async with app:
        await welcome.add({"to": "s3cret"})
        await work_off(app)
    assert "s3cret" not in "".join(span.to_json() for span in seen.spans())


async def test_a_bulk_is_one_span_and_every_job_of_it_goes_on_there(app: Corral, seen: Seen) -> None:
    @app.queue("mail", concurrency=5).job("welcome")
    async def welcome(ctx: JobContext, to: str) -> None: ...

    async with app:
        await welcome.add_bulk(["ann", "bob", "cyd"])
        await work_off(app)
    bulk = seen.one("addBulk mail")
    assert about(bulk)["messaging.batch.message_count"] == 3
    assert {parent_of(run) for run in seen.spans("process")} == {span_id(bulk)}


async def test_each_node_of_a_flow_has_a_span_below_that_of_the_flow(app: Corral, seen: Seen) -> None:
    queue = app.queue("reports", concurrency=5)

    @queue.job("part")
    async def part(ctx: JobContext, number: int) -> int:
        return number

    @queue.job("whole")
    async def whole(ctx: JobContext, data: None) -> None: ...

    async with app:
        await app.flow.add(whole.node(None).over(part.node(1), part.node(2)))
        await work_off(app)
    flow, nodes = seen.one("addFlow reports"), seen.spans("addNode reports")
    assert len(nodes) == 3
    assert {parent_of(node) for node in nodes} == {span_id(flow)}
    assert {parent_of(run) for run in seen.spans("process")} == {span_id(node) for node in nodes}
    assert {trace_of(span) for span in seen.spans()} == {trace_of(flow)}


async def test_what_a_handler_adds_goes_on_in_the_trace_of_its_run(app: Corral, seen: Seen) -> None:
    queue = app.queue("mail", concurrency=5)

    @queue.job("first")
    async def first(ctx: JobContext, data: None) -> None:
        await second.add(None)
        await ctx.add_on_complete(third, None)

    @queue.job("second")
    async def second(ctx: JobContext, data: None) -> None: ...

    @queue.job("third")
    async def third(ctx: JobContext, data: None) -> None: ...

    async with app:
        await first.add(None)
        await work_off(app)
    assert len(seen.spans("process")) == 3
    assert len({trace_of(span) for span in seen.spans()}) == 1
    runs = {about(run)["bullmq.job.name"]: run for run in seen.spans("process")}
    assert parent_of(runs["third"]) == span_id(runs["first"])
    assert parent_of(seen.one("add mail.second")) == span_id(runs["first"])


async def test_a_retry_stays_in_the_trace_and_is_linked_to_the_attempt_before(app: Corral, seen: Seen) -> None:
    @app.queue("mail", attempts=3).job("flaky")
    async def flaky(ctx: JobContext, data: None) -> None:
        if ctx.attempt < 3:
            raise ConnectionError("the line is dead")

    async with app:
        await flaky.add(None)
        await work_off(app)
    runs = seen.spans("process")
    assert [about(run)["corral.outcome"] for run in runs] == ["retried", "retried", "completed"]
    assert [run.status.status_code for run in runs] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert len({trace_of(run) for run in runs}) == 1
    for before, after in pairwise(runs):
        assert span_id(before) in [link.context.span_id for link in after.links]
    assert [event.name for event in runs[0].events] == ["exception", "retry_scheduled"]
    assert about(runs[0])["error.type"] == "ConnectionError"


async def test_a_failure_for_good_is_an_error_of_its_span(app: Corral, seen: Seen) -> None:
    queue = app.queue("mail")

    @queue.job("failing")
    async def failing(ctx: JobContext, data: None) -> None:
        raise RuntimeError("550 no such mailbox")

    @queue.job("slow", timeout=0.05)
    async def slow(ctx: JobContext, data: None) -> None:
        await asyncio.Event().wait()

    @queue.job("later")
    async def later(ctx: JobContext, data: None) -> None:
        if not await ctx.recall("been"):
            await ctx.note("been", "here")
            raise Snooze(0.01)

    async with app:
        for job in (failing, slow, later):
            await job.add(None)
        await work_off(app)
    ends = [(about(run)["bullmq.job.name"], about(run)["corral.outcome"]) for run in seen.spans("process")]
    assert sorted(ends) == [("failing", "failed"), ("later", "completed"), ("later", "released"), ("slow", "timeout")]
    broken = next(run for run in seen.spans("process") if about(run)["corral.outcome"] == "failed")
    assert about(broken)["bullmq.job.failed.reason"] == "RuntimeError: 550 no such mailbox"
    assert broken.status.status_code is StatusCode.ERROR


async def test_jobs_of_schedules_begin_a_trace_each(app: Corral, seen: Seen) -> None:
    @app.queue("ticks").job("tick")
    async def tick(ctx: JobContext, data: None) -> None: ...

    app.schedule("each-second", Every(1), tick, None)
    async with app:
        await app.sync_schedules()
        scheduler = app.scheduler(await app.open())
        at = now_ms()
        await scheduler.tick(at + 1_500)
        await scheduler.tick(at + 2_500)
    fired = seen.spans("add ticks.tick")
    assert [about(span)["bullmq.job.scheduler.id"] for span in fired] == ["each-second"] * 2
    assert len({trace_of(span) for span in fired}) == 2


async def test_a_slot_that_another_scheduler_fired_leaves_no_span(app: Corral, seen: Seen) -> None:
    @app.queue("ticks").job("tick")
    async def tick(ctx: JobContext, data: None) -> None: ...

    app.schedule("each-second", Every(1), tick, None)
    async with app:
        await app.sync_schedules()
        storage = await app.open()
        [schedule] = (await storage.schedules()).items
        assert schedule.next_at is not None
        job = NewJob(queue="ticks", name="tick", schedule="each-second")
        for _ in range(2):
            await storage.fire_schedule(
                "ticks", "each-second", slot=schedule.next_at, jobs=[job], next_at=schedule.next_at + 1000
            )
    assert len(seen.spans("add ticks.tick")) == 1


async def test_a_carrier_of_the_callers_own_is_left_as_it_is(app: Corral, seen: Seen) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        [added] = await storage.add(
            [NewJob(queue="mail", name="welcome", data="null", options=JobOptions(trace=CARRIER))]
        )
        [job] = await storage.get("mail", [added.id])
        assert job is not None
        assert job.options.trace == CARRIER
        await work_off(app)
    run = seen.one("process")
    assert f"{trace_of(run):032x}" == TRACE
    assert f"{parent_of(run):016x}" == PARENT


async def test_a_job_that_asks_for_it_begins_a_trace_of_its_own(app: Corral, seen: Seen) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        await storage.add([NewJob(queue="mail", name="welcome", data="null", options=JobOptions(omit_trace=True))])
        [job] = (await storage.page("mail", [JobState.WAITING])).items
        assert job.options.trace is None
        await work_off(app)
    run = seen.one("process")
    assert run.parent is None
    assert run.links == ()


@pytest.mark.parametrize(
    ("policy", "waited", "goes_on"),
    [("auto", 0, True), ("auto", LONG_MS + 1000, False), ("parent", LONG_MS + 1000, True), ("link", 0, False)],
)
async def test_a_job_that_waited_for_long_is_linked_to_and_begins_a_trace(
    storage_url: str, seen: Seen, policy: str, waited: int, goes_on: bool
) -> None:
    app = Corral(storage_url)
    instrument(app, tracer_provider=seen.provider, meter_provider=seen.meters, parent=policy)

    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        job = NewJob(queue="mail", name="welcome", data="null", options=JobOptions(trace=CARRIER))
        await storage.add([job], now=now_ms() - waited)
        await work_off(app)
    run = seen.one("process")
    assert (f"{trace_of(run):032x}" == TRACE) is goes_on
    assert [f"{link.context.trace_id:032x}" for link in run.links] == [TRACE]


@pytest.mark.parametrize(
    "carrier", ["no JSON", "[]", "null", '{"traceparent": 7}', '{"traceparent": "00-0-0-01"}', "[[1]]"]
)
async def test_a_carrier_that_cannot_be_read_is_none(app: Corral, seen: Seen, carrier: str) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        await storage.add([NewJob(queue="mail", name="welcome", data="null", options=JobOptions(trace=carrier))])
        await work_off(app)
    assert seen.one("process").parent is None
    assert seen.metrics()["corral.trace.unreadable"] == 1


async def test_a_transaction_of_the_applications_own_carries_its_trace(seen: Seen, tmp_path: Path) -> None:
    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    instrument(app, tracer_provider=seen.provider)

    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        connection = apsw.Connection(str(tmp_path / "corral.db"))
        with seen.tracer.start_as_current_span("request") as request:
            connection.execute("BEGIN IMMEDIATE")
            app.add_in(connection, welcome, None)
            connection.execute("COMMIT")
        connection.close()
        await work_off(app)
    assert parent_of(seen.one("process")) == span_id(request)


async def test_commands_leave_spans_below_whoever_gives_them_and_housekeeping_none(app: Corral, seen: Seen) -> None:
    app.queue("mail")
    async with app:
        queue = await app.open_queue("mail")
        await queue.pause()
        with seen.tracer.start_as_current_span("request") as request:
            await queue.resume()
            await queue.drain()
    found = [span for span in seen.spans() if parent_of(span) == span_id(request)]
    assert [span.name for span in found] == ["resume mail", "clean mail"]
    assert len(seen.spans()) == 3


async def test_ends_are_spans_where_they_are_wanted(storage_url: str, seen: Seen) -> None:
    app = Corral(storage_url)
    instrument(app, tracer_provider=seen.provider, outcomes=True, sizes=True)

    @app.queue("mail", attempts=2).job("welcome")
    async def welcome(ctx: JobContext, data: str) -> None:
        if ctx.attempt == 1:
            raise ConnectionError

    async with app:
        await welcome.add("ann")
        await work_off(app)
    assert [span.name for span in seen.spans() if span.kind is SpanKind.INTERNAL] == ["retry mail", "complete mail"]
    assert {about(span)["messaging.message.body.size"] for span in seen.spans("process")} == {5}


async def test_the_numbers_are_there_for_collectors_too(app: Corral, seen: Seen) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        await welcome.add(None)
        await welcome.add(None)
        await work_off(app)
    found = seen.metrics()
    assert found["messaging.client.sent.messages"] == 2
    assert found["messaging.client.consumed.messages"] == 2
    assert found["messaging.process.duration"] == 2
    assert found["bullmq.jobs.completed"] == 2
    assert found["bullmq.jobs.waiting"] == 2


async def test_queues_are_measured_when_somebody_asks_for_it(app: Corral, seen: Seen) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        await welcome.add_bulk([None, None, None])
        await record_counts(app)
        await record_counts(Corral("sqlite:///:memory:"))  # not instrumented: nothing happens
    assert seen.metrics()["bullmq.queue.jobs"] == 3


async def test_handlers_in_threads_are_inside_of_their_span_too(app: Corral, seen: Seen) -> None:
    within: list[int] = []

    @app.queue("mail").job("welcome")
    def welcome(data: None) -> None:
        within.append(span_id(trace.get_current_span()))

    async with app:
        await welcome.add(None)
        await work_off(app)
    assert within == [span_id(seen.one("process"))]


async def test_the_span_of_one_run_is_not_the_current_one_of_the_next(app: Corral, seen: Seen) -> None:
    @app.queue("mail", concurrency=1).job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        for _ in range(5):
            await welcome.add(None)
        await work_off(app)
    adds = {span_id(span) for span in seen.spans("add")}
    assert {parent_of(run) for run in seen.spans("process")} == adds
