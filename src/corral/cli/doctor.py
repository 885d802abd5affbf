"""`corral doctor`: why jobs do not run, and what to do about it."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import click
from msgspec import Struct

from corral.cli.cells import Column, plain, share, span
from corral.cli.failures import CHECK_FAILED
from corral.cli.figures import ALIVE_MS, Figures, figures, served
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.cli.store import current_app, current_settings, open_url, run, store_url
from corral.errors import CorralError
from corral.job import Job, JobState
from corral.schedule import Schedule
from corral.storage.checkup import checkup
from corral.storage.connect import safe_url
from corral.storage.port import Storage, WorkerInfo
from corral.timing import Millis, now_ms

OVERDUE_MS: Millis = 60_000  #: a due slot that nobody served for this long
TOO_MANY = 0.05  #: share of failures that is no longer noise …
ENOUGH = 20  #: … when at least this many jobs ended


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


MARKS = {"ok": "✓", "warning": "▲", "failed": "✕"}


class Check(Struct, frozen=True):
    """One check: what it looked at, what it saw, and the way out."""

    name: str
    verdict: Verdict
    message: str
    fix: str = ""

    def row(self) -> dict[str, object]:
        """The check as it is printed."""
        return {"check": self.name, "verdict": str(self.verdict), "message": self.message, "fix": self.fix or None}


COLUMNS = (
    Column("verdict", "", lambda value: MARKS[str(value)]),
    Column("check", "CHECK"),
    Column("message", "FOUND", wrap=True),
    Column("fix", "FIX", lambda value: plain(value) if value else "", wrap=True),
)


@command("doctor")
def doctor() -> None:
    """Check that the store answers, that a worker serves every queue with jobs, and what else keeps jobs from running.

    Each finding comes with its fix. Exit code 8 when a check fails, so that a monitor can call it.
    """
    printer = Printer.current()
    checks = run(_examine())
    printer.rows(COLUMNS, [check.row() for check in checks])
    failed = sum(check.verdict is Verdict.FAILED for check in checks)
    warnings = sum(check.verdict is Verdict.WARNING for check in checks)
    printer.note(f"{len(checks)} checks: {len(checks) - failed - warnings} ok, {warnings} warnings, {failed} failed")
    if failed:
        click.get_current_context().exit(CHECK_FAILED)


async def _examine() -> list[Check]:
    settings = current_settings()
    url = store_url(settings, current_app(settings))
    try:
        async with open_url(url) as storage:
            return [
                Check("store", Verdict.OK, f"{safe_url(url)} answers"),
                *await _vitals(url),
                *await examine(storage),
            ]
    except CorralError as error:
        fix = "check the URL, the server or the file and its disk; CORRAL_URL or --url names another store"
        return [Check("store", Verdict.FAILED, f"{safe_url(url)}: {error}", fix)]
    except click.ClickException as error:
        fix = "start a worker or add a job to make it, or name another store with CORRAL_URL or --url"
        return [Check("store", Verdict.FAILED, error.format_message(), fix)]


async def _vitals(url: str) -> list[Check]:
    """What the store says about itself."""
    return [
        Check(one.name, Verdict.FAILED if one.grave else Verdict.WARNING if one.fix else Verdict.OK, one.text, one.fix)
        for one in await checkup(url)
    ]


async def examine(storage: Storage, *, now: Millis | None = None) -> list[Check]:
    """Every check on an open store."""
    workers = await storage.workers(stale_ms=ALIVE_MS)
    numbers = await figures(storage)
    schedules = (await storage.schedules()).items
    checks = [*_workers(numbers, workers), *_paused(numbers)]
    for one in numbers:
        checks += await _errors(storage, one)
    return [*checks, *_schedules(schedules, workers, now_ms() if now is None else now)]


def _workers(numbers: Sequence[Figures], workers: Sequence[WorkerInfo]) -> Iterator[Check]:
    alive = served(workers)
    stuck = [one for one in numbers if one.waiting and one.state != "paused" and one.queue not in alive]
    for one in stuck:
        yield Check(
            "worker",
            Verdict.FAILED,
            f"{one.queue}: {one.waiting:,} waiting, oldest {span(one.oldest_s)}, and no worker takes its jobs",
            f"corral worker APP --queues {one.queue}",
        )
    if not stuck:
        yield Check("worker", Verdict.OK, f"{len(workers)} alive; every queue with waiting jobs has one")


def _paused(numbers: Sequence[Figures]) -> Iterator[Check]:
    held = [one for one in numbers if one.state == "paused" and one.waiting]
    for one in held:
        why = f' ("{one.paused_reason}")' if one.paused_reason else ""
        yield Check(
            "paused",
            Verdict.FAILED,
            f"{one.queue} is paused{why} while {one.waiting:,} jobs wait",
            f"corral queues resume {one.queue}",
        )
    if not held:
        yield Check("paused", Verdict.OK, "no paused queue holds jobs back")


async def _errors(storage: Storage, one: Figures) -> list[Check]:
    ended = (one.done_per_min + one.failed_per_min) * one.window_s / 60
    rate = one.failed_rate or 0.0
    if not rate:
        return [Check("errors", Verdict.OK, f"{one.queue}: none failed in {span(one.window_s)}")]
    newest = (await storage.page(one.queue, [JobState.FAILED], limit=1)).items
    bad = rate > TOO_MANY and round(ended) >= ENOUGH
    return [
        Check(
            "errors",
            Verdict.FAILED if bad else Verdict.WARNING,
            f"{one.queue}: {share(rate)} of {round(ended):,} jobs failed in {span(one.window_s)}{_reason(newest)}",
            _look(one.queue, newest),
        )
    ]


def _reason(newest: Sequence[Job]) -> str:
    return f"; last: {newest[0].failed_reason}" if newest else ""


def _look(queue: str, newest: Sequence[Job]) -> str:
    if not newest:
        return f"corral jobs list --queue {queue} --state failed"
    return f"corral jobs show {newest[0].id} --queue {queue}; when it is mended: corral jobs retry --queue {queue}"


def _schedules(schedules: Sequence[Schedule], workers: Sequence[WorkerInfo], now: Millis) -> Iterator[Check]:
    lost = [one for one in schedules if not one.paused and one.next_at is None and not one.ended(now)]
    late = [one for one in schedules if not one.paused and one.next_at is not None and one.next_at < now - OVERDUE_MS]
    for one in lost:
        yield Check(
            "schedules",
            Verdict.FAILED,
            f"{one.key} of {one.queue} has no next run although it has not ended",
            "look into the workers' logs" if workers else "corral worker APP: its scheduler arms it within 30 s",
        )
    for one in late:
        assert one.next_at is not None
        yield Check(
            "schedules",
            Verdict.FAILED,
            f"{one.key} of {one.queue} was due {span((now - one.next_at) / 1000)} ago",
            "look into the workers' logs" if workers else "corral worker APP (without --no-scheduler)",
        )
    if not lost and not late:
        yield Check(
            "schedules", Verdict.OK, f"{len(schedules)}, each with its next run" if schedules else "there are none"
        )
