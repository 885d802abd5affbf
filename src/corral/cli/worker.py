"""`corral worker`: run an application's jobs until stopped."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import click

from corral.cli.logs import FORMATS, set_up
from corral.cli.outlook import outlook_of, tell_ports
from corral.cli.render import Printer
from corral.cli.settings import Settings
from corral.cli.shared import ARGUMENTS, command, reads
from corral.cli.store import current_settings, run
from corral.cli.supervise import INSTANCE, STARTS, Plan, Supervisor
from corral.cli.values import duration, size, tags
from corral.errors import ConfigError

FLAGS = (
    "queues", "concurrency", "name", "shutdown_timeout", "stats_interval", "health_port", "metrics_port", "listen",
    "health_file", "max_rss", "threads", "executor", "tags",
)  # fmt: skip
SEAT = "CORRAL_DEV_SOCKET"  #: tells a child which descriptor the HTTP API is served on
SECRET = "CORRAL_API_SESSION_SECRET"  # noqa: S105 - the name of a variable
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Extras:
    """What `corral dev` has beside a worker."""

    sock: socket.socket | None = None  #: where the HTTP API is served
    secret: str = ""  #: sessions are signed with it: they outlive a reload
    show: bool = False  #: open a browser
    demo: bool = False  #: bring sample queues and jobs


NOTHING_MORE = Extras()


def queue_slots(text: str) -> dict[str, int | None]:
    """`email,report=5`: the queues to serve, with slots where they are given.

    Raises:
        ConfigError: an empty name, a name given twice, or slots that are no number of 1 or more.
    """
    slots: dict[str, int | None] = {}
    for part in text.split(","):
        name, sign, number = part.strip().partition("=")
        if not name:
            raise ConfigError(f"{text!r} has an empty queue name; write email,report=5")
        if name in slots:
            raise ConfigError(f"queue {name!r} is given twice")
        if sign and not (number.isdigit() and int(number) > 0):
            raise ConfigError(f"{part.strip()!r} must have a number of 1 or more after the =")
        slots[name] = int(number) if sign else None
    return slots


def set_slots(text: str) -> dict[str, int]:
    """`email=5,report=2`: slots of single queues.

    Raises:
        ConfigError: as for `queue_slots`, or a queue without slots.
    """
    slots: dict[str, int] = {}
    for name, number in queue_slots(text).items():
        if number is None:
            raise ConfigError(f"{name!r} has no number of slots; write {name}=5")
        slots[name] = number
    return slots


def _tags(_: click.Context, param: click.Parameter, given: tuple[str, ...]) -> str | None:
    for one in given:
        try:
            tags(one)
        except ConfigError as error:
            raise click.BadParameter(str(error), param=param) from None
    return ",".join(given) or None


def worker_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that `worker` and `dev` have in common."""
    options = [
        click.option("-Q", "--queues", metavar="NAMES", help="Serve only these, with slots if wanted: email,report=5."),
        click.option("--all", "everything", is_flag=True,
                     help="Serve every queue of APP, whatever CORRAL_QUEUES or corral.toml says."),
        click.option("--set", "slots", callback=reads(set_slots), metavar="NAME=N,…",
                     help="Slots of single queues, without choosing among them: email=5,report=2."),
        click.option("-c", "--concurrency", type=click.IntRange(1, 10_000), metavar="N",
                     help="Jobs at once for each queue without slots of its own (WORKER_CONCURRENCY)."),
        click.option("--name", metavar="NAME", help="The worker's name in listings; instances are NAME.0, NAME.1 …"),
        click.option("--burst", is_flag=True, help="Stop when nothing is left to do."),
        click.option("--max-jobs", type=click.IntRange(min=1), metavar="N", help="Stop after so many jobs."),
        click.option("--max-time", callback=reads(duration), metavar="DURATION", help="Stop after this long."),
        click.option("--max-rss", callback=reads(size), metavar="SIZE",
                     help="Stop when the process holds more memory than this, such as 512MB."),
        click.option("--threads", type=click.IntRange(1, 10_000), metavar="N",
                     help="So many `def` handlers at once, over all queues; without it, as many as there are slots."),
        click.option("--executor", type=click.Choice(("async", "thread", "process")),
                     help="Handlers where they say (async), none in child processes (thread), or all of them."),
        click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", callback=_tags,
                     help="Shown beside the worker's name; may be given again."),
        click.option("--shutdown-timeout", callback=reads(duration), metavar="DURATION",
                     help="How long running jobs may take to finish when stopped (30s)."),
        click.option("--stats-interval", callback=reads(duration), metavar="DURATION",
                     help="How often the figures are logged (30s); 0 is never."),
        click.option("--scheduler/--no-scheduler", default=True, help="Whether to serve schedules too."),
        click.option("--log-level", type=click.Choice(LEVELS), help="Least level that is logged (info)."),
        click.option("--log-format", type=click.Choice(FORMATS), help="How lines look (console)."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def probe_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say where a worker is to be seen."""
    port = click.IntRange(0, 65_535)
    options = [
        click.option("--health-port", type=port, metavar="PORT", help="Answer /livez, /readyz and /startupz."),
        click.option("--metrics-port", type=port, metavar="PORT", help="Answer /metrics; may be the same port."),
        click.option("--listen", metavar="HOST", help="The address of these ports (127.0.0.1)."),
        click.option("--health-file", metavar="PATH", help="Touch this file while the worker lives."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command("worker")
@click.argument("application", metavar="APP", required=False)
@worker_options
@probe_options
@click.option("--processes", type=click.IntRange(1, 256), metavar="N", help="So many worker processes (1).")
@click.option("--reload", is_flag=True, help="Start again when a Python file below this folder changes.")
def worker(application: str | None, processes: int | None, reload: bool, **options: object) -> None:
    """Run the jobs of APP (package.module:attribute) until stopped.

    The first SIGTERM or Ctrl-C lets running jobs finish, the second hands them back to the queue at once. Exit code 0
    after a clean stop, 9 when jobs had to be handed back.
    """
    start(application, processes=processes, reload=reload, extras=NOTHING_MORE, **options)


def start(application: str | None, *, processes: int | None, reload: bool, extras: Extras, **options: object) -> None:
    """Run the worker in this process, or children that do; ends the process with the exit code."""
    instance = os.environ.pop(INSTANCE, None)  # taken out, so that what a handler starts is no child of ours
    first = os.environ.pop(STARTS, "1") == "1"
    flags = {key: options.get(key) for key in FLAGS}
    settings = current_settings(
        processes=processes, log_level=options["log_level"], log_format=options["log_format"], **flags
    )
    if options["everything"] and options["queues"]:
        raise click.UsageError("--all serves every queue, and --queues some: say one of them")
    target = application or settings.app
    if target is None and not extras.demo:
        raise click.UsageError("say which application: corral worker package.module:attribute (or CORRAL_APP)")
    set_up(settings.log_format, settings.log_level, env=settings.env, colour=Printer.current().colour)
    ctx = click.get_current_context()
    if instance is None and (reload or settings.processes > 1):
        ctx.exit(_supervised(settings, reload, extras, once=bool(options["burst"])))
    from corral.cli.work import Work, work  # the application's side of corral: not needed by a supervisor

    job = Work(
        target=target,
        settings=settings,
        queues=queue_slots(settings.queues) if settings.queues and not options["everything"] else None,
        slots=cast(dict[str, int] | None, options["slots"]) or {},
        instance=instance,
        burst=bool(options["burst"]),
        max_jobs=cast(int | None, options["max_jobs"]),
        max_time=cast(float | None, options["max_time"]),
        schedules=bool(options["scheduler"]),
        demo=extras.demo,
        sock=extras.sock,
        show=extras.show and first,
    )
    ctx.exit(work(job))


def _supervised(settings: Settings, reload: bool, extras: Extras, *, once: bool) -> int:
    outlook = outlook_of(settings)
    if not outlook.wanted:
        return run(_supervise(settings, reload, extras, once=once))
    with TemporaryDirectory(prefix="corral-") as folder:  # only this user may look into it
        return run(_supervise(settings, reload, extras, once=once, sockets=folder))


async def _supervise(
    settings: Settings, reload: bool, extras: Extras, *, once: bool, sockets: str | None = None
) -> int:
    words = click.get_current_context().meta[ARGUMENTS]
    handed = () if extras.sock is None else (extras.sock.fileno(),)
    plan = Plan(
        workers=True,
        inherited=handed,
        env={SEAT: str(handed[0]), SECRET: extras.secret} if handed else {},
        sockets=sockets,
        command=[sys.executable, "-m", "corral.cli", *words],
        processes=settings.processes,
        once=once,
        watch=Path.cwd() if reload else None,
        shutdown_timeout=settings.shutdown_timeout,
    )
    supervisor = Supervisor(plan)
    if sockets is None:
        return await supervisor.run()
    from corral.observe.probes import crowd_probes  # a server, only for who wants one

    with crowd_probes(outlook_of(settings), supervisor.sockets.copy, settings.processes) as ports:
        tell_ports(ports)
        return await supervisor.run()
