"""Traces and metrics for OpenTelemetry, where `corral[otel]` is installed: the application brings SDK and exporter.

`instrument(app)` is all there is to call. Names of spans and attributes: docs/guides/tracing.md.
"""

import os
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from weakref import WeakKeyDictionary

from corral._version import __version__
from corral.app.app import Corral
from corral.errors import ConfigError, RegistrationError
from corral.job import JobState, NewJob

if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
    raise ConfigError("traces need the package opentelemetry-api: pip install 'corral[otel]'", key="otel")

from opentelemetry import context as otel
from opentelemetry import metrics, trace

from corral.observe.carrier import packed
from corral.observe.meters import Meters
from corral.observe.run_spans import PARENTS, RunSpans
from corral.observe.spans import Names, Tracing, carrying
from corral.observe.traced_store import TracedStorage

#: `0` turns all of it off, whatever the code says.
SWITCH = "CORRAL_OTEL"
_INSTRUMENTED: WeakKeyDictionary[Corral, Tracing] = WeakKeyDictionary()


def instrument(
    app: Corral, *, parent: str = "auto", baggage: Collection[str] = (), outcomes: bool = False, sizes: bool = False,
    tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None,
) -> bool:  # fmt: skip
    """Have an application's jobs traced, from where they are added to where they run; before its store is opened.

    Answers whether they are: with `CORRAL_OTEL=0` in the environment nothing is done. A second call changes nothing.

    Args:
        parent: "auto" lets a run go on in the trace of whoever added the job, unless it waited for an hour or more:
            then a trace of its own begins, with a link. "parent" and "link" do always one or the other.
        baggage: keys of the baggage that travel with jobs. None do by themselves, for jobs are stored.
        outcomes: whether ends of runs are spans of their own, as in BullMQ, and not only events.
        sizes: whether spans tell how many bytes a payload has.
        tracer_provider, meter_provider: others than the global ones.

    Raises:
        ConfigError: another word for `parent`. RegistrationError: the store is open already.
    """
    if parent not in PARENTS:
        raise ConfigError(f"parent must be one of {', '.join(PARENTS)}, not {parent!r}", key="parent")
    if switched_off():
        return False
    if app in _INSTRUMENTED:
        return True
    if app.is_open:
        raise RegistrationError("instrument(app) comes before the application's store is opened")
    tracing = _INSTRUMENTED[app] = Tracing(
        tracer=trace.get_tracer("corral", __version__, tracer_provider),
        meters=Meters(metrics.get_meter("corral", __version__, meter_provider)),
        names=Names(app),
        baggage=frozenset(baggage),
        sizes=sizes,
    )
    runs = RunSpans(tracing, parent=parent, outcomes=outcomes)
    app.watchers.append(runs)
    app.middlewares.insert(0, runs.around)
    app.dress(lambda storage: TracedStorage(storage, tracing, runs))
    app.stamp(lambda jobs: _marked(jobs, tracing))
    return True


def switched_off() -> bool:
    """Whether the environment says that nothing is to be traced."""
    return os.environ.get(SWITCH, "").strip().lower() in ("0", "false", "off", "no")


async def record_counts(app: Corral, *queues: str) -> None:
    """Measure how many jobs of these queues (without any, of all that are declared) are in which state, once.

    The metric is BullMQ's `bullmq.queue.jobs`. Whoever wants it calls this now and then, in one process of all.

    Raises:
        StorageError: the store does not answer.
    """
    tracing = _INSTRUMENTED.get(app)
    if tracing is None:
        return
    for counts in await (await app.open()).counts(queues or list(app.queues)):
        for state in JobState:
            about = {"bullmq.queue.name": counts.queue, "bullmq.queue.jobs.state": state.value}
            tracing.meters.queue_jobs.set(getattr(counts, state.name.lower()), about)


def _marked(jobs: Sequence[NewJob], tracing: Tracing) -> Sequence[NewJob]:
    """Jobs that go past the store, in a transaction of the application's own, carry its current trace."""
    text = packed(otel.get_current(), tracing.baggage)
    return [carrying(job, text) for job in jobs]
