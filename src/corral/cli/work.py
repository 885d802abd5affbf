"""Running a worker in this process: what `corral worker` does once it knows that it is not the supervisor."""

import asyncio
import importlib.util
import logging
import os
import platform
import select
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext

import click
from msgspec import Struct
from msgspec.structs import replace

from corral._version import __version__
from corral.alerts.settings import AlertSettings, read_alerts
from corral.app.app import Corral
from corral.app.queues import AppQueue
from corral.cli.failures import USAGE, fail
from corral.cli.load import load_app
from corral.cli.logs import bind
from corral.cli.outlook import own_outlook, tell_ports
from corral.cli.process import fast_loop, take_over_input
from corral.cli.settings import Settings
from corral.cli.store import sqlite_file, store_url
from corral.cli.supervise import ABORT, DUMP, QUIET, STOP
from corral.cli.text import visible
from corral.cli.values import tags
from corral.errors import ConfigError, QueueNotFoundError, StorageUnavailableError
from corral.options import KEEP_COMPLETED, KEEP_FAILED, JobOptions, Keep
from corral.storage.connect import safe_url
from corral.worker.heed import dump
from corral.worker.worker import BaseWorker, WorkerOptions

logger = logging.getLogger("corral.cli")

READY = "Queue Worker is now running. Ctrl-C to stop."
HANDLERS_SHOWN = 8
#: Whoever signals a whole group reaches a supervised child directly; the word on its pipe is then not a second order.
ECHO_SECONDS = 0.1


class Work(Struct, frozen=True, kw_only=True):
    """What a worker process is asked to do."""

    target: str | None  #: None: nothing but the samples
    settings: Settings
    queues: dict[str, int | None] | None = None
    slots: dict[str, int] = {}  #: of single queues, before anything else that says how many
    instance: str | None = None
    burst: bool = False
    max_jobs: int | None = None
    max_time: float | None = None
    schedules: bool = True
    demo: bool = False  #: bring sample queues and jobs
    sock: socket.socket | None = None  #: serve the HTTP API here
    show: bool = False  #: and open it in a browser


def work(job: Work) -> int:
    """Load the application and work until stopped; answers the exit code.

    Raises:
        CorralError: the store cannot be opened, a queue does not exist, a setting cannot be meant.
    """
    app = application(job)
    own = app.url
    app.url = store_url(job.settings, app)
    if app.names_store and own != app.url:
        logger.warning(
            "the worker's store is %s, but the application names %s: other code that adds jobs with it uses that one",
            safe_url(app.url), safe_url(own),
        )  # fmt: skip
    if job.settings.processes > 1 and app.url.startswith("sqlite:") and sqlite_file(app.url) is None:
        fail(f"{safe_url(app.url)} lives in one process: it cannot be shared by {job.settings.processes}", USAGE)
    if job.settings.retention_hours is not None:
        retain(app, job.settings.retention_hours)
    _name_process(job, app)
    outlook = own_outlook(job.settings, supervised=job.instance is not None)
    if not outlook.wanted:
        return _run(_work(app, job))
    from corral.observe.probes import Probes  # a server, only for who wants one

    with Probes(outlook, engine="sqlite" if app.url.startswith("sqlite:") else "redis") as probes:
        tell_ports(probes.ports)
        return _run(_work(app, job, probes.watch))


def application(job: Work) -> Corral:
    """The application, with the samples where they are wanted. Raises: UsageError."""
    if not job.demo:
        return load_app(job.target or "")
    from corral.cli.sample import sample_app, take_in  # handlers that nobody else needs

    if job.target is None:
        return sample_app()
    app = load_app(job.target)
    take_in(app)
    return app


def _run(work: Coroutine[object, object, int]) -> int:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(work)


async def _work(app: Corral, job: Work, show: Callable[[BaseWorker], None] = lambda _: None) -> int:
    slots = lanes(app, job)
    settings = job.settings
    options = WorkerOptions(
        name=instance_name(job, app),
        shutdown_timeout=settings.shutdown_timeout,
        stats_interval=settings.stats_interval,
        burst=job.burst,
        max_jobs=job.max_jobs,
        max_time=job.max_time,
        run_schedules=job.schedules,
        max_rss=settings.max_rss,
        threads=settings.threads,
        executor=settings.executor,
        tags=tags(settings.tags) if settings.tags else (),
    )
    alerts = read_alerts(declared=app.alerts)
    if not job.burst:
        await _reach(app)
    async with app, AsyncExitStack() as stack:
        worker = await app.worker(queues=slots, options=options)
        show(worker)
        bind(worker=worker.name, worker_id=worker.id)
        stack.callback(bind, worker=None, worker_id=None)
        introduce(app, worker, settings, alone=job.instance in (None, "0"))
        if job.demo:
            await _seed(app)
        await stack.enter_async_context(_company(app, alerts, job))
        with Obedience(worker, supervised=job.instance is not None):
            return await worker.run()


async def _reach(app: Corral) -> None:
    """Wait until the server of the store answers: one that starts later than its workers is no reason to give up.

    A connection is tried again and again, ever more slowly, until the patience of the URL is over; then it is told.
    """
    while True:
        try:
            await app.open()
        except StorageUnavailableError as error:
            if app.url.startswith("sqlite:"):  # a file that cannot be opened stays that way
                raise
            logger.warning("%s; the worker goes on trying", error, extra={"event": "engine.away"})
        else:
            return


async def _seed(app: Corral) -> None:
    from corral.cli.sample import seed

    await seed(app)


def _company(app: Corral, alerts: AlertSettings | None, job: Work) -> AbstractAsyncContextManager[None]:
    """What goes on beside the worker. The HTTP API sees to alerts too."""
    if job.sock is None:
        return _alerting(app, alerts)
    from corral.cli.beside import beside  # FastAPI takes half a second: only for who wants it

    return beside(app, job.sock, show=job.show)


def _alerting(app: Corral, settings: AlertSettings | None) -> AbstractAsyncContextManager[None]:
    """Alerts for as long as the worker works, if anybody wants to be told."""
    if settings is None and not app.alert_hooks:
        return nullcontext()
    from corral.alerts.watch import watching  # read and write model: only for who wants alerts

    return watching(app)


# -- what is asked for -------------------------------------------------------------------------------------------------


def lanes(app: Corral, job: Work) -> dict[str, int | None]:
    """The queues to serve, with their slots: `--set a=5` or `-Q a=5`, else `--concurrency`, else (None) as declared.

    Raises:
        QueueNotFoundError: a queue that the application does not declare. ConfigError: slots of one that is not served.
    """
    wanted = dict.fromkeys(app.queues) if job.queues is None else job.queues
    for name in (*wanted, *job.slots):
        if name not in app.queues:
            raise QueueNotFoundError(name, app.queues)
    if idle := [name for name in job.slots if name not in wanted]:
        raise ConfigError(f"--set gives slots to {', '.join(idle)}, which --queues does not name", key="set")
    return {name: slots or job.settings.concurrency for name, slots in {**wanted, **job.slots}.items()}


def instance_name(job: Work, app: Corral) -> str | None:
    """NAME, with the instance's number where there are several; None leaves it to the worker (host and pid).

    PM2 numbers its instances in NODE_APP_INSTANCE; children of one `--processes` are numbered below that.
    """
    child = job.instance if job.settings.processes > 1 else None
    numbers = [one for one in (os.environ.get("NODE_APP_INSTANCE"), child) if one]
    if not numbers:
        return job.settings.name
    return ".".join([job.settings.name or app.name, *numbers])


def retain(app: Corral, hours: float) -> None:
    """Keep finished jobs this long where the application does not say how long. The bounds by count stay."""
    age = hours * 3_600
    wanted = JobOptions(
        keep_completed=Keep(age=age, count=KEEP_COMPLETED.count), keep_failed=Keep(age=age, count=KEEP_FAILED.count)
    )
    for queue in app.queues.values():
        queue.options = queue.options.over(wanted)
        for definition in queue.definitions.values():
            handler = definition.handler
            definition.handler = replace(handler, options=handler.options.over(wanted))


def _name_process(job: Work, app: Corral) -> None:
    if importlib.util.find_spec("setproctitle") is None:  # an extra: `ps` then shows the command as it was typed
        return
    from setproctitle import setproctitle

    setproctitle(f"corral worker {instance_name(job, app) or job.target}")


# -- what is told ------------------------------------------------------------------------------------------------------


def introduce(app: Corral, worker: BaseWorker, settings: Settings, *, alone: bool) -> None:
    """The banner, said by one of several instances: what they are and serve. For machines it is one log record each."""
    if settings.log_format in ("json", "logfmt"):
        slots = {lane.queue: lane.slots for lane in worker.lanes}
        facts = {"event": "worker.started", "url": safe_url(app.url), "worker": worker.name, "slots": slots}
        logger.info("worker starting", extra=facts)
        return
    announce()
    for line in banner(app, worker) if alone else ():
        click.echo(visible(line))


def banner(app: Corral, worker: BaseWorker) -> list[str]:
    """The lines of the banner."""
    engine = app.url.partition("://")[0]
    rows = [("queue", "slots", "rate", "handlers")]
    for lane in worker.lanes:
        queue = app.queues[lane.queue]
        rows.append((lane.queue, str(lane.slots), _rate(queue), _handlers(list(queue.definitions))))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        f"  {name:<{widths[0]}}  {slots:>{widths[1]}}  {rate:<{widths[2]}}  {handlers}"
        for name, slots, rate, handlers in rows
    ]
    return [
        f"corral {__version__} · {engine} @ {safe_url(app.url)} · python {platform.python_version()}",
        *table,
        f"  schedules {len(app.schedules)} · pid {os.getpid()} · {worker.name}",
    ]


def _rate(queue: AppQueue) -> str:
    limit = queue.rate_limit
    return "–" if limit is None else f"{limit.count} / {limit.per:g} s"


def _handlers(names: Sequence[str]) -> str:
    more = len(names) - HANDLERS_SHOWN
    return (", ".join(names[:HANDLERS_SHOWN]) + (f" and {more} more" if more > 0 else "")) or "none"


def announce() -> None:
    """Print READY when the worker runs, whatever level is logged, in the place of its log record."""
    source = logging.getLogger("corral.worker")
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.getLogger().level)
        handler.addFilter(lambda record: not is_ready(record))
    if source.getEffectiveLevel() > logging.INFO:
        source.setLevel(logging.INFO)
    source.addHandler(Announcer())


class Announcer(logging.Handler):
    """Says that the worker runs, in the guides' words, once it does; the log record about it is for machines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        if is_ready(record):
            click.echo(READY)


def is_ready(record: logging.LogRecord) -> bool:
    """Whether the record tells that the worker runs."""
    return getattr(record, "event", None) == "worker.ready"


# -- who gives orders --------------------------------------------------------------------------------------------------


class Obedience:
    """Stops the worker on its supervisor's word, or when the supervisor is gone."""

    def __init__(self, worker: BaseWorker, *, supervised: bool) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._pipe = take_over_input() if supervised else None
        self._stopped: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if self._pipe is not None:
            self._stopped = asyncio.ensure_future(self._worker.wait())
            self._loop.add_reader(self._pipe, self._hear)
            if select.select([self._pipe], [], [], 0)[0]:  # said while the application was loaded: take no job at all
                words = os.read(self._pipe, 1024)
                if not words or STOP in words or ABORT in words:
                    self._worker.stop()

    def __exit__(self, *exception: object) -> None:
        if self._pipe is not None and self._stopped is not None:
            self._loop.remove_reader(self._pipe)
            self._stopped.cancel()
            os.close(self._pipe)

    def _hear(self) -> None:
        assert self._pipe is not None
        words = os.read(self._pipe, 1024)
        if not words:
            self._loop.remove_reader(self._pipe)
        if not words or STOP in words:
            self._loop.call_later(ECHO_SECONDS, self._stop)
        if QUIET in words:
            self._worker.quiet()
        if DUMP in words:
            dump(self._loop)
        if ABORT in words:
            self._stop()
            self._worker.stop()

    def _stop(self) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._worker.stop()
