"""What a line of the log says by itself: the job, the trace, the worker; and how many lines there are at most."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from corral import Corral, JobContext
from corral.job import NewJob
from corral.observe.logs import MOST, GuideLines, Sampler, Structured, bind
from corral.observe.tracing import instrument
from corral.options import JobOptions
from tests.engine.helpers import work_off

TRACE = "0af7651916cd43dd8448eb211c80319c"
CARRIER = json.dumps({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})


class Kept(logging.Handler):
    """Keeps what a format makes of the records of `corral` and `shop`."""

    def __init__(self, style: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(style)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def of(self, event: str) -> dict[str, object]:
        """The only line of this event."""
        [line] = [line for line in map(json.loads, self.lines) if line.get("event") == event]
        return dict(line)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept(Structured("json", service="shop"))
    loggers = [logging.getLogger(name) for name in ("corral", "corral.worker", "shop")]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    for logger in (loggers[0], loggers[2]):
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


async def test_lines_of_a_job_say_which_one_how_long_and_why(storage_url: str, kept: Kept) -> None:
    app = Corral(storage_url)
    queue = app.queue("mail", attempts=1)

    @queue.job("broken", tags=["tenant-42"])
    async def broken(ctx: JobContext, data: None) -> None:
        raise RuntimeError("550 no such mailbox")

    @queue.job("slow", timeout=0.05)
    async def slow(ctx: JobContext, data: None) -> None:
        await asyncio.Event().wait()

    async with app:
        handle = await broken.add(None)
        await slow.add(None)
        await work_off(app)
    line = kept.of("job.failed")
    assert (line["queue"], line["job"], line["job_id"], line["attempt"]) == ("mail", "broken", handle.id, 1)
    assert (line["error_type"], line["error"]) == ("RuntimeError", "RuntimeError: 550 no such mailbox")
    assert line["tags"] == ["tenant-42"]
    assert isinstance(line["duration_ms"], int)
    assert len(str(line["fingerprint"])) >= 8
    assert "raise RuntimeError" in str(line["stack"])
    assert kept.of("job.timeout")["job"] == "slow"


async def test_an_applications_own_line_carries_the_trace_of_its_job(storage_url: str, kept: Kept) -> None:
    app = Corral(storage_url)

    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None:
        logging.getLogger("shop").info("on its way", extra={"event": "shop.sent"})

    async with app:
        storage = await app.open()
        job = NewJob(queue="mail", name="welcome", data="null", options=JobOptions(trace=CARRIER))
        await storage.add([job])
        await work_off(app)
    line = kept.of("shop.sent")
    assert (line["trace_id"], line["job"], line["attempt"]) == (TRACE, "welcome", 1)
    assert kept.of("job.started")["trace_id"] == TRACE


async def test_it_carries_the_span_where_the_application_is_traced(storage_url: str, kept: Kept) -> None:
    app = Corral(storage_url)
    provider = TracerProvider()
    instrument(app, tracer_provider=provider)

    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None:
        logging.getLogger("shop").info("on its way", extra={"event": "shop.sent"})

    async with app:
        with provider.get_tracer("test").start_as_current_span("request") as request:
            await welcome.add(None)
        await work_off(app)
    provider.shutdown()
    line = kept.of("shop.sent")
    context = request.get_span_context()
    assert line["trace_id"] == f"{context.trace_id:032x}"
    assert len(str(line["span_id"])) == 16
    assert line["span_id"] != f"{context.span_id:016x}"


def test_the_guides_line_has_no_room_for_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.LogRecord("corral", logging.INFO, "", 0, "Job added to queue", (), None)
    record.queue, record.jobId, record.trace_id = "send-email", "123", TRACE
    record.created = 1_750_329_045.0
    assert GuideLines().format(record).endswith(" info: Job added to queue queue=send-email jobId=123")


def test_what_is_bound_stands_in_every_structured_line_until_it_is_taken_away() -> None:
    record = logging.LogRecord("corral", logging.INFO, "", 0, "hello", (), None)
    bind(worker="box-1", worker_id="box-1-7f")
    try:
        line = json.loads(Structured("json").format(record))
    finally:
        bind(worker=None, worker_id=None)
    assert (line["worker"], line["worker_id"]) == ("box-1", "box-1-7f")
    assert "worker" not in json.loads(Structured("json").format(record))


def line_of(queue: str, event: str, second: float) -> logging.LogRecord:
    record = logging.LogRecord("corral.worker", logging.DEBUG, "", 0, "", (), None)
    record.queue, record.event, record.created = queue, event, second
    return record


def test_beyond_a_hundred_lines_a_second_a_queue_says_only_how_many_there_were() -> None:
    sampler = Sampler()
    passed = [sampler.filter(line_of("mail", "job.completed", 5.0)) for _ in range(MOST + 50)]
    assert passed.count(True) == MOST
    assert sampler.filter(line_of("reports", "job.completed", 5.0))
    assert sampler.filter(line_of("mail", "job.started", 5.0))
    later = line_of("mail", "job.completed", 6.0)
    assert sampler.filter(later)
    assert vars(later)["left_out"] == 50
    again = line_of("mail", "job.completed", 6.5)
    assert sampler.filter(again)
    assert "left_out" not in vars(again)


def test_failures_are_never_left_out() -> None:
    sampler = Sampler()
    assert all(sampler.filter(line_of("mail", "job.failed", 5.0)) for _ in range(10 * MOST))


def test_a_line_outside_of_any_trace_names_none() -> None:
    assert "opentelemetry.trace" in sys.modules
    record = logging.LogRecord("corral", logging.INFO, "", 0, "hello", (), None)
    assert "trace_id" not in json.loads(Structured("json").format(record))
