"""The bundle: the clean-up as an application takes it in."""

import asyncio
import logging
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from corral.app.bundle import Bundle
from corral.errors import ConfigError, JobCancelledError
from corral.handlers.cleanup.files import Order, sweep
from corral.handlers.cleanup.outcome import Cleaned, CleanupError, Tally
from corral.handlers.cleanup.payload import Clean
from corral.handlers.cleanup.rows import RowOrder, remove_rows
from corral.handlers.cleanup.rules import FileRule, RowRule, Rule
from corral.handlers.cleanup.settings import CleanupSettings
from corral.handlers.kit.database import Database
from corral.options import Exponential
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

#: The jobs that are always declared. One without a rule fails at once, and says what to set.
JOBS = ("expired-tokens", "sessions", "temp-files", "old-logs", "old-artifacts", "database-retention")
_VARIABLES = {
    "temp-files": "CLEANUP_TEMP_DIR", "old-logs": "CLEANUP_LOGS_DIR", "old-artifacts": "CLEANUP_ARTIFACTS_DIR"
}  # fmt: skip
#: Lines of one run in the job's log.
LINES = 50

logger = logging.getLogger("corral.handlers.cleanup")


def bundle(
    settings: CleanupSettings | None = None, *, rules: Iterable[Rule] = (), database: Database | None = None,
    queue: str = "cleanup", jobs: Iterable[str] = JOBS, clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The clean-up jobs, for `app.include(bundle())`. Reads the settings; touches nothing.

    Args:
        settings: folders and ages; by default what the environment, `.env` and `corral.toml` say.
        rules: what else may be removed: folders, and rows of the application's tables.
        database: where the rows are.
        jobs: the names to declare besides those of the rules.

    Raises:
        ConfigError: settings that cannot be meant, a folder that must not be emptied, rows without a database.
    """
    settings = CleanupSettings.load() if settings is None else settings
    known: dict[str, list[Rule]] = {name: [] for name in jobs}
    for rule in (*settings.rules(), *rules):
        if isinstance(rule, RowRule) and database is None:
            raise ConfigError(f"{rule!r} needs a database: bundle(database=…)", key="database")
        known.setdefault(rule.job, []).append(rule)
    cleaner = Cleaner(known, database, clock)

    async def clean(ctx: JobContext, data: Clean) -> Cleaned:
        """Remove what is old by the job's rules. A second run finds less to do; what is gone already is no error."""
        return await cleaner.run(ctx, data)

    made = Bundle("cleanup", queue=queue, attempts=3, backoff=Exponential(2), timeout=1_800)
    for name in known:
        made.job(name)(clean)
    return made


class Cleaner:
    """What the jobs use."""

    def __init__(self, rules: dict[str, list[Rule]], database: Database | None, clock: Clock) -> None:
        self._rules = rules
        self._database = database
        self._clock = clock

    async def run(self, ctx: JobContext, data: Clean) -> Cleaned:
        """Follow every rule of the job's name.

        Raises:
            Discard: there is none. CleanupError: there was something to remove, and nothing could be.
        """
        rules = self._rules[ctx.name]
        if not rules:
            raise Discard(f"nothing says what {ctx.name!r} is to remove: {_way_out(ctx.name)}")
        now = await self._begun(ctx)
        total, lines, oldest = Tally(), list[str](), now
        for number, rule in enumerate(rules, 1):
            older_ms = rule.older_ms if data.older_than_hours is None else round(data.older_than_hours * 3_600_000)
            oldest = min(oldest, now - older_ms)
            total.add(await self._follow(rule, now - older_ms, data, lines))
            await ctx.progress(100 * number // len(rules))
        for line in lines[:LINES]:
            await ctx.log(line)
        if total.failed and not total.removed:
            raise CleanupError(f"none of {total.failed:,} old entries could be removed: {lines[0] if lines else '?'}")
        result = total.result(before=datetime.fromtimestamp(oldest / 1000, UTC).isoformat(), dry_run=data.dry_run)
        logger.info("Cleanup %s: %s", ctx.name, "would remove" if data.dry_run else "removed", extra=dict(result))
        return result

    async def _begun(self, ctx: JobContext) -> int:
        """When the job's first attempt began: the others divide old from young at the same instant."""
        noted = await ctx.recall("now") if ctx.fence > 1 else None
        if noted is not None:
            return int(noted)
        now = self._clock()
        await ctx.note("now", str(now))
        return now

    async def _follow(self, rule: Rule, before_ms: int, data: Clean, lines: list[str]) -> Tally:
        limit = rule.limit if data.limit is None else min(rule.limit, data.limit)
        if isinstance(rule, RowRule):
            assert self._database is not None  # the bundle has seen to it
            return await remove_rows(RowOrder(rule, before_ms, limit, data.dry_run), self._database, lines.append)
        return await _sweep_in_thread(rule, before_ms, limit, data, lines)


async def _sweep_in_thread(rule: FileRule, before_ms: int, limit: int, data: Clean, lines: list[str]) -> Tally:
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise JobCancelledError("the clean-up was told to stop")

    try:
        return await asyncio.to_thread(sweep, Order(rule, before_ms, limit, data.dry_run, check, lines.append))
    finally:
        stop.set()  # a thread cannot be stopped from outside: it looks before each file


def _way_out(name: str) -> str:
    variable = _VARIABLES.get(name)
    given = f"bundle(rules=[{'FileRule' if variable else 'RowRule'}({name!r}, …)])"
    return f"set {variable}, or give {given}" if variable else f"give {given}"
