"""Traces across the border: what Node adds goes on here, and what is added here goes on there."""

import json

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from corral import Corral, JobContext
from corral.observe.tracing import instrument
from tests.engine.helpers import work_off

from .node import Bull

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_a_trace_leads_from_node_through_a_job_and_back_to_node(bull: Bull, store_url: str, major: int) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = Corral(store_url)
    instrument(app, tracer_provider=provider)
    app.queue("answers")

    @app.queue("questions").job("ask")
    async def ask(ctx: JobContext, data: dict[str, int]) -> None:
        await ctx.add("answers", "tell", {"to": data["to"]})

    queue = await bull.queue("questions", major=major)
    await queue.add("ask", {"to": 7}, telemetry={"metadata": json.dumps({"traceparent": f"00-{TRACE}-{PARENT}-01"})})
    async with app:
        await work_off(app, run_schedules=False)
    worker = await bull.worker("answers", major=major)
    [there] = await worker.runs(1)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    run, add = spans["process questions"], spans["add answers.tell"]
    assert run.parent is not None
    assert (f"{run.parent.trace_id:032x}", f"{run.parent.span_id:016x}") == (TRACE, PARENT)
    context = add.get_span_context()
    assert context is not None
    carried = json.loads(there["opts"]["telemetry"]["metadata"])
    assert carried == {"traceparent": f"00-{TRACE}-{trace.format_span_id(context.span_id)}-01"}
    provider.shutdown()
