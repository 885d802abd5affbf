"""`corral add`: add a job, or one per line of a file, and wait for it if wanted."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime

import click

from corral.cli.backend.open import check
from corral.cli.backend.port import Backend, Draft, Row, ScheduleDraft
from corral.cli.failures import CHECK_FAILED, Failure
from corral.cli.progress import bar
from corral.cli.render import Printer
from corral.cli.session import ask, complete
from corral.cli.shared import command, reads
from corral.cli.values import backoff, dedup, duration, keep, moment, payload, priority, read_file
from corral.errors import PayloadError
from corral.options import Backoff, Dedup, Keep
from corral.payload import from_json

EVERY = 1.0  #: seconds between two looks at the log


@command("add")
@click.argument("queue", shell_complete=complete("queue"))
@click.argument("name")
@click.argument("data", nargs=-1)
@click.option("--delay", callback=reads(duration), metavar="DURATION", help="Run it this much later: 30s, 5m, 2h.")
@click.option("--at", callback=reads(moment), metavar="TIME", help="Run it at 2026-11-22T09:00 (local), …Z, or +30m.")
@click.option("--priority", callback=reads(priority), metavar="LEVEL", help="critical, high, normal, low or a number.")
@click.option("--attempts", type=int, metavar="N", help="How often it may be tried.")
@click.option("--backoff", callback=reads(backoff), metavar="KIND", help="Between attempts: exp:2s or fixed:5s.")
@click.option("--id", "job_id", metavar="ID", help="An id of your own: a second job with it is not added.")
@click.option("--dedup", callback=reads(dedup), metavar="KEY[:TIME]", help="Not while a job with this key is there.")
@click.option("--tag", multiple=True, metavar="TEXT", help="A tag to find it by; may be repeated.")
@click.option("--keep-completed", callback=reads(keep), metavar="N|TIME", help="How long it stays when completed.")
@click.option("--keep-failed", callback=reads(keep), metavar="N|TIME", help="How long it stays when failed.")
@click.option("--every", callback=reads(duration), metavar="DURATION", help="Make a schedule: again and again.")
@click.option("--cron", metavar="LINE", help="Make a schedule: at these times ('0 9 * * 1').")
@click.option("--tz", metavar="ZONE", help="The zone of --cron.")
@click.option("--bulk", metavar="FILE", help="A job for each line of JSON in FILE (- for standard input).")
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print its result.")
@click.option("--follow", is_flag=True, help="Wait, and print what it logs meanwhile.")
@click.option(
    "--timeout", callback=reads(duration), metavar="DURATION", help="How long to --wait (exit 7 when it is up)."
)
@click.option("--exit-status", is_flag=True, help="Exit with 8 when the awaited job fails. Implies --wait.")
def add(
    queue: str, name: str, data: tuple[str, ...], delay: float | None, at: datetime | None, priority: int | None,
    attempts: int | None, backoff: Backoff | None, job_id: str | None, dedup: Dedup | None, tag: tuple[str, ...],
    keep_completed: Keep | None, keep_failed: Keep | None, every: float | None, cron: str | None, tz: str | None,
    bulk: str | None, wait: bool, follow: bool, timeout: float | None, exit_status: bool,
) -> None:  # fmt: skip
    """Add a job to QUEUE for the handler NAME.

    DATA is JSON text, @file, - for standard input, or pairs: key=text and key:=json. With an application (--app,
    CORRAL_APP or corral.toml) its handler checks the payload first; without one any JSON is taken.
    """
    waits = wait or follow or exit_status
    if bulk is not None and (data or job_id or waits):
        raise click.UsageError("--bulk takes its data from the file, and cannot be combined with DATA, --id or --wait")
    given = {
        "delay": delay, "at": at, "priority": priority, "attempts": attempts, "backoff": backoff, "id": job_id,
        "dedup": dedup, "tags": tag or None, "keep_completed": keep_completed, "keep_failed": keep_failed,
    }  # fmt: skip
    options = {key: value for key, value in given.items() if value is not None}
    printer = Printer.current()
    if every is not None or cron is not None:
        if bulk is not None or waits or options:
            raise click.UsageError("a schedule (--every, --cron) takes DATA only; see corral schedules add")
        draft = ScheduleDraft(key=name, queue=queue, name=name, data=payload(data), cron=cron, every=every, tz=tz)
        printer.record(ask(lambda back: back.put_schedule(draft, fresh=True), create=True, app=True))
        return
    if bulk is not None:
        drafts = [Draft(name=name, data=value, options=options, line=line) for line, value in lines_of(read_file(bulk))]
        check(queue, drafts)
        dry = printer.chosen.dry_run
        added = 0 if dry else ask(lambda back: _add_all(printer, back, queue, drafts), create=True, app=True)
        printer.record({"queue": queue, "name": name, "added": added})
        return
    draft_of_one = Draft(name=name, data=payload(data), options=options)
    check(queue, [draft_of_one])
    if printer.chosen.dry_run:
        printer.note(f"a job {name} would be added to {queue}")
        return

    async def work(back: Backend) -> None:
        facts = await _add(printer, back, queue, draft_of_one, said=not waits)
        if waits:
            await _follow(printer, back, facts, timeout=timeout, exit_status=exit_status, logs=follow)

    ask(work, create=True, app=True)


def lines_of(text: str) -> list[tuple[int, object]]:
    """Number and value of each line that is not blank.

    Raises:
        PayloadError: a line is no JSON; the message says which.
    """
    values = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                values.append((number, from_json(line)))
            except PayloadError as error:
                raise PayloadError(f"line {number}: {error}; nothing was added") from None
    return values


async def _add_all(printer: Printer, back: Backend, queue: str, drafts: Sequence[Draft]) -> int:
    """Add them in their order, a part after the other; whatever ends it, how many there are by then is said."""
    added, part = 0, back.together
    try:
        with ExitStack() as stack:
            shown = bar(printer, stack) if len(drafts) > part else None
            for start in range(0, len(drafts), part):
                added += len(await back.add(queue, drafts[start : start + part]))
                if shown is not None:
                    shown.show(queue, added, len(drafts))
    finally:
        if added < len(drafts) and len(drafts) > part:
            printer.note(f"broken off: at least the first {added:,} of {len(drafts):,} jobs are added")
    return added


async def _add(printer: Printer, back: Backend, queue: str, draft: Draft, *, said: bool) -> Row:
    [facts] = await back.add(queue, [draft])
    if not facts["added"]:
        printer.note(f"job {facts['id']!r} was in queue {queue!r} already and is left as it is")
    if said and printer.for_people:
        printer.line(f"{queue}/{facts['id']} {'added' if facts['added'] else 'exists'}")
    elif said:
        printer.record(facts)
    else:
        printer.note(f"{queue}/{facts['id']} added, waiting for its end")
    return facts


async def _follow(
    printer: Printer, back: Backend, facts: Row, *, timeout: float | None, exit_status: bool, logs: bool
) -> None:
    queue, job_id = str(facts["queue"]), str(facts["id"])
    tail = _Tail(printer, back, queue, job_id)
    task = asyncio.create_task(tail.run()) if logs else None
    try:
        outcome = await back.outcome(queue, job_id, timeout)
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
    if logs:
        await tail.look()
    printer.record({**facts, **outcome})
    if exit_status and outcome["state"] == "failed":
        raise Failure(f"job {job_id!r} failed: {outcome['reason']}", CHECK_FAILED)


class _Tail:
    """What a job logs, as messages."""

    def __init__(self, printer: Printer, back: Backend, queue: str, job_id: str) -> None:
        self._printer = printer
        self._back = back
        self._job = queue, job_id
        self._place = 0

    async def look(self) -> None:
        """Print what is new."""
        lines, _ = await self._back.logs(*self._job, start=self._place, limit=1_000)
        self._place += len(lines)
        for line in lines:
            self._printer.note(line)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)
