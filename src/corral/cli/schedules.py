"""`corral schedules`: look at schedules, run one now, pause, resume and remove them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from corral.cli.cells import Column, iso, plain
from corral.cli.failures import CONFLICT, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import current_app, current_settings, open_url, run, store_url
from corral.cron import explain, zone
from corral.errors import ScheduleNotFoundError
from corral.schedule import Cron, Schedule
from corral.scheduler import Scheduler
from corral.sensitive import shown_text
from corral.slots import next_slot
from corral.storage.port import Storage
from corral.timing import now_ms, to_datetime

COMMANDS = {
    "list": ("corral.cli.schedules:list_schedules", "Every schedule, and when it runs next."),
    "show": ("corral.cli.schedules:show", "Everything about one schedule."),
    "next": ("corral.cli.schedules:upcoming", "The next runs of a schedule."),
    "run": ("corral.cli.schedules:run_now", "Add a schedule's job now, whatever its time."),
    "pause": ("corral.cli.schedules:pause", "Let a schedule make no jobs for now."),
    "resume": ("corral.cli.schedules:resume", "Let a schedule make jobs again."),
    "remove": ("corral.cli.schedules:remove", "Delete a schedule."),
}
COLUMNS = (
    Column("key", "KEY"),
    Column("queue", "QUEUE"),
    Column("job", "JOB", rank=1),
    Column("when", "WHEN", wrap=True),
    Column("next_at", "NEXT"),
    Column("last_at", "LAST", rank=3),
    Column("fired", "RUNS", plain, True, rank=2),
    Column("state", "STATE"),
)
QUEUE = click.option("--queue", metavar="NAME", help="The schedule's queue, when two queues have one with this key.")


@click.group("schedules", cls=LazyGroup, lazy=COMMANDS)
def schedules() -> None:
    """Look at schedules, run one now, pause, resume and remove them."""


@asynccontextmanager
async def _open() -> AsyncIterator[tuple[Storage, Scheduler]]:
    settings = current_settings()
    app = current_app(settings)
    async with open_url(store_url(settings, app), app) as storage:
        # Only the application can make a payload that is a function of it; everything else works without it.
        yield storage, app.scheduler(storage) if app is not None else Scheduler(storage)


async def _all(storage: Storage, queue: str | None = None) -> list[Schedule]:
    found: list[Schedule] = []
    while True:
        page = await storage.schedules(queue=queue, start=len(found))
        found += page.items
        if not page.items or len(found) >= page.total:
            return found


async def _find(storage: Storage, key: str, queue: str | None) -> Schedule:
    """The schedule with this key. Raises: ScheduleNotFoundError; Failure when several queues have one (exit 6)."""
    every = await _all(storage, queue)
    found = [item for item in every if item.key == key]
    if not found:
        raise ScheduleNotFoundError(key, [item.key for item in every])
    if len(found) > 1:
        fail(
            f"schedule {key!r} is in several queues; say --queue {' or --queue '.join(one.queue for one in found)}",
            CONFLICT,
        )
    return found[0]


def _when(schedule: Schedule) -> str:
    timing = schedule.timing
    if isinstance(timing, Cron):
        return timing.expression if timing.tz == "UTC" else f"{timing.expression} ({timing.tz})"
    return f"every {timing.seconds:g} s"


def _state(schedule: Schedule) -> str:
    if schedule.paused:
        return "paused"
    return "active" if schedule.next_at is not None else "ended" if schedule.ended(now_ms()) else "no next run"


def _row(schedule: Schedule) -> dict[str, object]:
    return {
        "key": schedule.key,
        "queue": schedule.queue,
        "job": schedule.name,
        "when": _when(schedule),
        "next_at": iso(schedule.next_at),
        "last_at": iso(schedule.last_at),
        "fired": schedule.fired,
        "state": _state(schedule),
    }


def _details(schedule: Schedule) -> dict[str, object]:
    timing = schedule.timing
    words = explain(timing.expression) if isinstance(timing, Cron) else _when(schedule)
    return {
        **_row(schedule),
        "in_words": words,
        "missed": str(schedule.missed),
        "overlap": str(schedule.overlap),
        "start_at": iso(schedule.start_at),
        "end_at": iso(schedule.end_at),
        "limit": schedule.limit,
        "last_job_id": schedule.last_job_id,
        "owner": schedule.owner or None,
        "data": "made by the application at each run"
        if schedule.computed
        else shown_text(schedule.data, schedule.options.sensitive),
    }


@command("list")
@click.option("--queue", metavar="NAME", help="Only this queue's.")
def list_schedules(queue: str | None) -> None:
    """Every schedule of the store, and when it runs next."""

    async def work() -> Sequence[Schedule]:
        async with _open() as (storage, _):
            return await _all(storage, queue)

    Printer.current().rows(COLUMNS, [_row(one) for one in run(work())])


@command("show")
@click.argument("key")
@QUEUE
def show(key: str, queue: str | None) -> None:
    """Everything about one schedule, its line in words included."""

    async def work() -> Schedule:
        async with _open() as (storage, _):
            return await _find(storage, key, queue)

    Printer.current().record(_details(run(work())))


@command("next")
@click.argument("key")
@QUEUE
@click.option("-n", "count", type=click.IntRange(1, 1_000), default=10, show_default=True, help="How many.")
def upcoming(key: str, queue: str | None, count: int) -> None:
    """The next runs of a schedule, in UTC and in its own time zone."""

    async def work() -> Schedule:
        async with _open() as (storage, _):
            return await _find(storage, key, queue)

    schedule = run(work())
    printer = Printer.current()
    if schedule.paused:
        printer.note(f"schedule {key!r} is paused: these are the runs it would have")
    columns = (Column("at", "UTC"), Column("local", "LOCAL"))
    printer.rows(columns, [{"at": iso(at), "local": _local(schedule, at)} for at in _slots(schedule, count)])


def _slots(schedule: Schedule, count: int) -> list[int]:
    slots: list[int] = []
    at = now_ms() if schedule.paused or schedule.next_at is None else schedule.next_at - 1
    remaining = count if schedule.limit is None else min(count, max(0, schedule.limit - schedule.fired))
    while len(slots) < remaining:
        following = next_slot(schedule, at)
        if following is None:
            break
        slots.append(following)
        at = following
    return slots


def _local(schedule: Schedule, at: int) -> str:
    tz = zone(schedule.timing.tz) if isinstance(schedule.timing, Cron) else None
    return to_datetime(at).astimezone(tz).isoformat(timespec="seconds")


@command("run")
@click.argument("key")
@QUEUE
def run_now(key: str, queue: str | None) -> None:
    """Add a job of this schedule at once, even while it is paused. Its next run stays where it is.

    A payload that the application makes at each run needs the application: --app or CORRAL_APP.
    """

    async def work() -> dict[str, object]:
        async with _open() as (storage, scheduler):
            schedule = await _find(storage, key, queue)
            added = await scheduler.run_now(schedule.queue, key)
            return {"queue": schedule.queue, "id": added.id, "schedule": key}

    Printer.current().record(run(work()))


@command("pause")
@click.argument("key")
@QUEUE
def pause(key: str, queue: str | None) -> None:
    """Let a schedule make no jobs until it is resumed. A restart of the application does not undo it."""

    async def work() -> None:
        async with _open() as (storage, scheduler):
            await scheduler.pause((await _find(storage, key, queue)).queue, key)

    run(work())
    Printer.current().note(f"paused schedule {key}")


@command("resume")
@click.argument("key")
@QUEUE
def resume(key: str, queue: str | None) -> None:
    """Let a schedule make jobs again, from its next time on: what fell into the pause is not made up for."""

    async def work() -> Schedule:
        async with _open() as (storage, scheduler):
            return await scheduler.resume((await _find(storage, key, queue)).queue, key)

    schedule = run(work())
    Printer.current().note(f"resumed schedule {key}; next run {iso(schedule.next_at) or 'never: it has ended'}")


@command("remove")
@click.argument("key")
@QUEUE
def remove(key: str, queue: str | None) -> None:
    """Delete a schedule; jobs it has made stay. One that the application declares comes back with its next worker."""
    printer = Printer.current()

    async def work() -> None:
        async with _open() as (storage, scheduler):
            schedule = await _find(storage, key, queue)
            declared = f" Application {schedule.owner!r} declares it and will bring it back." if schedule.owner else ""
            printer.confirm(f"Delete schedule {key} of {schedule.queue}?{declared}")
            await scheduler.drop(schedule.queue, key)

    run(work())
    printer.note(f"removed schedule {key}")
