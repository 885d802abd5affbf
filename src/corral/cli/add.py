"""`corral add`: add a job, or one per line of a file, and wait for it if wanted."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

import click

from corral.app.app import Corral
from corral.cli.failures import CHECK_FAILED, Failure
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.store import current_app, current_settings, open_url, run, store_url
from corral.cli.values import backoff, duration, moment, payload, priority, read_file
from corral.errors import JobFailedError, PayloadError
from corral.job import NewJob, check_name
from corral.keywords import AddKeywords
from corral.options import Backoff
from corral.payload import from_json, to_json
from corral.queue import MAX_BULK, JobHandle, Queue, new_job


@command("add")
@click.argument("queue")
@click.argument("name")
@click.argument("data", nargs=-1)
@click.option("--delay", callback=reads(duration), metavar="DURATION", help="Run it this much later: 30s, 5m, 2h.")
@click.option("--at", callback=reads(moment), metavar="TIME", help="Run it at 2026-11-22T09:00 (local), …Z, or +30m.")
@click.option("--priority", callback=reads(priority), metavar="LEVEL", help="critical, high, normal, low or a number.")
@click.option("--attempts", type=int, metavar="N", help="How often it may be tried.")
@click.option("--backoff", callback=reads(backoff), metavar="KIND", help="Between attempts: exp:2s or fixed:5s.")
@click.option("--id", "job_id", metavar="ID", help="An id of your own: a second job with it is not added.")
@click.option("--bulk", metavar="FILE", help="A job for each line of JSON in FILE (- for standard input).")
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print its result.")
@click.option(
    "--timeout", callback=reads(duration), metavar="DURATION", help="How long to --wait (exit 7 when it is up)."
)
@click.option("--exit-status", is_flag=True, help="Exit with 8 when the awaited job fails. Implies --wait.")
def add(
    queue: str, name: str, data: tuple[str, ...], delay: float | None, at: datetime | None, priority: int | None,
    attempts: int | None, backoff: Backoff | None, job_id: str | None, bulk: str | None, wait: bool,
    timeout: float | None, exit_status: bool,
) -> None:  # fmt: skip
    """Add a job to QUEUE for the handler NAME.

    DATA is JSON text, @file, - for standard input, or pairs: key=text and key:=json. With an application (--app,
    CORRAL_APP or corral.toml) its handler checks the payload first; without one any JSON is taken.
    """
    if bulk is not None and (data or job_id or wait or exit_status):
        raise click.UsageError("--bulk takes its data from the file, and cannot be combined with DATA, --id or --wait")
    given = {"delay": delay, "at": at, "priority": priority, "attempts": attempts, "backoff": backoff, "id": job_id}
    options = cast(AddKeywords, {key: value for key, value in given.items() if value is not None})
    settings = current_settings()
    app = current_app(settings)
    url = store_url(settings, app)
    printer = Printer.current()
    if bulk is not None:
        jobs = bulk_jobs(app, queue, name, read_file(bulk), options)
        printer.record({"queue": queue, "name": name, "added": run(_add_bulk(url, app, queue, jobs))})
        return
    job = make_job(app, queue, name, payload(data), options)
    run(_add(printer, url, app, job, wait=wait or exit_status, timeout=timeout, exit_status=exit_status))


def make_job(app: Corral | None, queue: str, name: str, data: object, options: AddKeywords) -> NewJob:
    """The job, checked by its handler where an application is known.

    Raises:
        PayloadError, ConfigError: what was given is refused. QueueNotFoundError, UnknownJobError: nobody would run it.
    """
    if app is not None:
        return app.definition(queue, name).new(data, **options)
    check_name(queue, "queue name")
    return new_job(queue, check_name(name, "job name"), to_json(data, "payload"), options)


def bulk_jobs(app: Corral | None, queue: str, name: str, text: str, options: AddKeywords) -> list[NewJob]:
    """A job per line that is not blank; all lines are checked before one is added.

    Raises:
        PayloadError: a line is refused; the message says which.
    """
    jobs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            jobs.append(make_job(app, queue, name, from_json(line), options))
        except PayloadError as error:
            raise PayloadError(f"line {number}: {error}; nothing was added") from None
    return jobs


async def _add_bulk(url: str, app: Corral | None, queue: str, jobs: Sequence[NewJob]) -> int:
    async with open_url(url, app, create=True) as storage:
        live = Queue(queue, storage)
        for start in range(0, len(jobs), MAX_BULK):
            await live.add_jobs(jobs[start : start + MAX_BULK])
    return len(jobs)


async def _add(
    printer: Printer, url: str, app: Corral | None, job: NewJob, *, wait: bool, timeout: float | None, exit_status: bool
) -> None:
    async with open_url(url, app, create=True) as storage:
        [handle] = await Queue(job.queue, storage).add_jobs([job])
        facts: dict[str, object] = {"queue": job.queue, "id": handle.id, "name": job.name, "added": handle.fresh}
        if not handle.fresh:
            printer.note(f"job {handle.id!r} was in queue {job.queue!r} already and is left as it is")
        if not wait:
            if printer.for_people:
                printer.line(f"{job.queue}/{handle.id} {'added' if handle.fresh else 'exists'}")
            else:
                printer.record(facts)
            return
        printer.note(f"{job.queue}/{handle.id} added, waiting for its end")
        await _follow(printer, handle, facts, timeout=timeout, exit_status=exit_status)


async def _follow(
    printer: Printer, handle: JobHandle[object], facts: dict[str, object], *, timeout: float | None, exit_status: bool
) -> None:
    try:
        outcome = {"state": "completed", "result": await handle.result(timeout)}
    except JobFailedError as error:
        outcome = {"state": "failed", "reason": error.reason}
    printer.record({**facts, **outcome})
    if exit_status and outcome["state"] == "failed":
        raise Failure(f"job {handle.id!r} failed: {outcome['reason']}", CHECK_FAILED)
