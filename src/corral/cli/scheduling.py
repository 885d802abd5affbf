"""`corral schedules run | pause | resume | repair | remove`."""

from collections.abc import Callable

from corral.cli.backend.port import Backend, Row
from corral.cli.render import Printer
from corral.cli.schedules import KEY, QUEUE, find_schedule
from corral.cli.session import ask
from corral.cli.shared import command


def _act(
    verb: str, key: str, queue: str | None, said: Callable[[Printer, Row], None], *, app: bool = False
) -> None:  # fmt: skip
    """Do it, and say what came of it; of a dry run only what would be done."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        found = await find_schedule(back, key, queue)
        if printer.chosen.dry_run:
            printer.note(f"would {verb} schedule {found['queue']}/{found['key']}")
            return
        said(printer, await back.act_on_schedule(verb, str(found["queue"]), str(found["key"])))

    ask(work, app=app)


@command("run")
@KEY
@QUEUE
def run_now(key: str, queue: str | None) -> None:
    """Add a job of this schedule at once, even while it is paused. Its next run stays where it is.

    A payload that the application makes at each run needs the application: --app or CORRAL_APP.
    """
    _act("run", key, queue, Printer.record, app=True)


@command("pause")
@KEY
@QUEUE
def pause(key: str, queue: str | None) -> None:
    """Let a schedule make no jobs until it is resumed. A restart of the application does not undo it."""
    _act("pause", key, queue, lambda printer, _: printer.note(f"paused schedule {key}"))


@command("resume")
@KEY
@QUEUE
def resume(key: str, queue: str | None) -> None:
    """Let a schedule make jobs again, from its next time on: what fell into the pause is not made up for."""

    def said(printer: Printer, now: Row) -> None:
        printer.note(f"resumed schedule {key}; next run {now['next_at'] or 'never: it has ended'}")

    _act("resume", key, queue, said)


@command("repair")
@KEY
@QUEUE
def repair(key: str, queue: str | None) -> None:
    """Work out the next run of a schedule that has lost it, or whose next run cannot be right."""

    def said(printer: Printer, now: Row) -> None:
        printer.note(f"repaired schedule {key}; next run {now['next_at'] or 'never: it has ended or is paused'}")

    _act("repair", key, queue, said)


@command("remove")
@KEY
@QUEUE
def remove(key: str, queue: str | None) -> None:
    """Delete a schedule; jobs it has made stay. One that the application declares comes back with its next worker."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        found = await find_schedule(back, key, queue)
        declared = f" Application {found['owner']!r} declares it and will bring it back." if found["owner"] else ""
        if printer.chosen.dry_run:
            printer.note(f"would delete schedule {found['queue']}/{found['key']}.{declared}")
            return
        printer.confirm(f"Delete schedule {found['key']} of {found['queue']}?{declared}")
        await back.act_on_schedule("remove", str(found["queue"]), str(found["key"]))
        printer.note(f"removed schedule {key}")

    ask(work)
