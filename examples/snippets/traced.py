import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from corral import Corral
from corral.observe.tracing import instrument

exporter, provider = InMemorySpanExporter(), TracerProvider()  # yours, with the exporter of your collector
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

app = Corral("sqlite:///corral.db")
instrument(app)


@app.queue("mail").job("welcome")
async def welcome(name: str) -> None: ...


async def main() -> None:
    async with app, await app.worker():
        await (await welcome.add("Ann")).result(timeout=10)


asyncio.run(main())
spans = exporter.get_finished_spans()
print(*sorted(span.name for span in spans), "traces:", len({span.context.trace_id for span in spans}))
# -> add mail.welcome process mail traces: 1
