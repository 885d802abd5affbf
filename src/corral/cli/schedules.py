"""`corral schedules`: look at schedules, make, change, run, pause, resume, repair and remove them."""

from collections.abc import Sequence

import click

from corral.cli.backend.port import Reading, Row, ScheduleDraft
from corral.cli.columns import RUNS, SCHEDULES
from corral.cli.failures import CONFLICT, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.session import ask, complete, known, look, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import duration, payload
from corral.errors import ScheduleNotFoundError

COMMANDS = {
    "list": ("corral.cli.schedules:list_schedules", "Every schedule, and when it runs next."),
    "show": ("corral.cli.schedules:show", "Everything about one schedule."),
    "next": ("corral.cli.schedules:upcoming", "The next runs of a schedule."),
    "add": ("corral.cli.schedules:add", "Make a schedule."),
    "edit": ("corral.cli.schedules:edit", "Change a schedule."),
    "run": ("corral.cli.scheduling:run_now", "Add a schedule's job now, whatever its time."),
    "pause": ("corral.cli.scheduling:pause", "Let a schedule make no jobs for now."),
    "resume": ("corral.cli.scheduling:resume", "Let a schedule make jobs again."),
    "repair": ("corral.cli.scheduling:repair", "Work out a schedule's next run anew."),
    "remove": ("corral.cli.scheduling:remove", "Delete a schedule."),
}
QUEUE = queue_option("The schedule's queue, when two queues have one with this key.")
KEY = click.argument("key", shell_complete=complete("schedule"))
STATES = click.Choice(["active", "paused", "overdue", "lost", "ended"])
CRON = click.option("--cron", metavar="LINE", help="At these times: '0 9 * * 1'.")
EVERY = click.option("--every", callback=reads(duration), metavar="DURATION", help="Every so often: 5m, 1h.")
TZ = click.option("--tz", metavar="ZONE", help="The time zone of --cron, such as Europe/Oslo.")
LIMIT = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many runs.")
DATA = click.option("--data", metavar="JSON", help="The payload of its jobs: JSON text, @file or -.")


@click.group("schedules", cls=LazyGroup, lazy=COMMANDS)
def schedules() -> None:
    """Look at schedules, make, change, run, pause, resume, repair and remove them."""


async def find_schedule(back: Reading, key: str, queue: str | None) -> Row:
    """The schedule with this key.

    Raises:
        ScheduleNotFoundError: there is none. Failure: several queues have one (exit 6).
    """
    if queue is None and "/" in key:
        where, _, rest = key.partition("/")
        if where in await back.names("queue", where):
            queue, key = where, rest
    every = await back.schedules(queue, "*", None)
    found = [row for row in every if row["key"] == key]
    if not found:
        raise ScheduleNotFoundError(key, [str(row["key"]) for row in every])
    if len(found) > 1:
        names = " or --queue ".join(str(row["queue"]) for row in found)
        fail(f"schedule {key!r} is in several queues; say --queue {names}", CONFLICT)
    return found[0]


@command("list")
@queue_option("Only this queue's.")
@click.option("--match", default="*", metavar="PATTERN", help="Only keys like report*.")
@click.option("--state", type=STATES, help="Only those that are so.")
def list_schedules(queue: str | None, match: str, state: str | None) -> None:
    """Every schedule of the store, and when it runs next."""

    async def work(back: Reading) -> Sequence[Row]:
        await known(back, (queue,) if queue else ())
        return await back.schedules(queue, match, state)

    Printer.current().rows(SCHEDULES, look(work))


@command("show")
@KEY
@QUEUE
def show(key: str, queue: str | None) -> None:
    """Everything about one schedule, its line in words included."""

    async def work(back: Reading) -> Row:
        found = await find_schedule(back, key, queue)
        return await back.schedule(str(found["queue"]), str(found["key"]))

    Printer.current().record(look(work))


@command("next")
@KEY
@QUEUE
@click.option("-n", "count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
def upcoming(key: str, queue: str | None, count: int) -> None:
    """The next runs of a schedule, in UTC and in its own time zone, with a note where clocks change."""
    printer = Printer.current()

    async def work(back: Reading) -> list[Row]:
        found = await find_schedule(back, key, queue)
        if found["state"] == "paused":
            printer.note(f"schedule {key!r} is paused: these are the runs it would have")
        return await back.runs(str(found["queue"]), str(found["key"]), count, "UTC")

    printer.rows(RUNS, look(work))


@command("add")
@click.argument("key")
@click.option("--queue", required=True, metavar="NAME", help="Where its jobs go.", shell_complete=complete("queue"))
@click.option("--name", metavar="NAME", help="The handler of its jobs; the key, when it is not said.")
@CRON
@EVERY
@TZ
@LIMIT
@DATA
def add(
    key: str, queue: str, name: str | None, cron: str | None, every: float | None, tz: str | None, limit: int | None,
    data: str | None,
) -> None:  # fmt: skip
    """Make a schedule: jobs for the handler NAME again and again. One that is there with this key is replaced."""
    printer = Printer.current()
    draft = ScheduleDraft(
        key=key, queue=queue, name=name or key, data=None if data is None else payload((data,)), cron=cron, every=every,
        tz=tz, limit=limit,
    )  # fmt: skip
    _put(printer, draft, fresh=True)


@command("edit")
@KEY
@QUEUE
@click.option("--name", metavar="NAME", help="Another handler for its jobs.")
@CRON
@EVERY
@TZ
@LIMIT
@DATA
def edit(
    key: str, queue: str | None, name: str | None, cron: str | None, every: float | None, tz: str | None,
    limit: int | None, data: str | None,
) -> None:  # fmt: skip
    """Change a schedule. One that the application declares is as declared again after its worker's next start."""
    printer = Printer.current()
    if all(one is None for one in (name, cron, every, tz, limit, data)):
        raise click.UsageError("say what to change: --cron, --every, --tz, --limit, --name or --data")
    found = ask(lambda back: find_schedule(back, key, queue))
    draft = ScheduleDraft(
        key=str(found["key"]), queue=str(found["queue"]), name=name, cron=cron, every=every, tz=tz, limit=limit,
        data=None if data is None else payload((data,)),
    )  # fmt: skip
    if found["owner"]:
        printer.note(f"application {found['owner']!r} declares it and will set it back when it starts")
    _put(printer, draft, fresh=False)


def _put(printer: Printer, draft: ScheduleDraft, *, fresh: bool) -> None:
    if printer.chosen.dry_run:
        printer.record({"key": draft.key, "queue": draft.queue, "cron": draft.cron, "every_s": draft.every})
        return
    printer.record(ask(lambda back: back.put_schedule(draft, fresh=fresh), create=fresh))
