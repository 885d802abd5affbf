"""Watch: looks every few seconds, in one process of all that could, and tells what has changed."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec

from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.alert import Alert, AlertHook, AlertState
from corral.alerts.plan import Alarm, Step, alert_of, steps
from corral.alerts.settings import AlertSettings, alert_settings, read_alerts
from corral.app.app import Corral
from corral.errors import CorralError, StorageError
from corral.intake import OPEN, Intake
from corral.job import NewJob
from corral.monitor.monitor import Monitor
from corral.monitor.thresholds import DEFAULTS
from corral.storage.records import MAX_CHANGES, EntryChange
from corral.worker.hooks import name_of, quietly

logger = logging.getLogger("corral.alerts")

#: Where alarms are kept, and who looks.
KIND, LEASE = "alert", "alert-lease"
#: Alarms that are kept, and how long one stays that nobody looks after any more.
MOST, LIFE_MS = 1_000, 7 * 86_400_000
#: Seconds that a hook may take.
PATIENCE = 30.0


class Watch:
    """Tells hooks and an alert queue what wants attention.

    Any number of processes may have one: they take turns by a lease, so that each alert is told by one of them. It is
    told at least once: a process that dies in between may have told it already.
    """

    def __init__(
        self, monitor: Monitor, admin: Admin, settings: AlertSettings, *, hooks: Sequence[AlertHook] = (),
        intake: Intake = OPEN,
    ) -> None:  # fmt: skip
        self._monitor = monitor
        self._desk = admin.by(Actor(sub="alerts"))
        self._settings = settings
        self._hooks = hooks
        self._intake = intake
        self._me = secrets.token_hex(8)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for as long as the block lasts."""
        task = asyncio.create_task(self._run(), name="corral-alerts")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StorageError as error:
                logger.warning("alerts wait for the store: %s", error)
            await asyncio.sleep(self._settings.every_ms / 1000)

    async def look(self) -> list[Alert]:
        """One round; answers what was told. Nothing, when another process has the lease.

        Raises:
            StorageError: the store does not answer.
        """
        now = self._monitor.at()
        if not await self._leads():
            return []
        storage = self._monitor.storage
        entries = await storage.entries(KIND, limit=MOST, now=self._monitor.store_now())
        known = {entry.id: msgspec.json.decode(entry.text, type=Alarm) for entry in entries}
        versions = {entry.id: entry.version for entry in entries}
        found = await self._monitor.attention()
        told: list[Alert] = []
        silence = await self._desk.silence("finding")
        every = [*found, *(alarm.finding for alarm in known.values())]
        muted = frozenset(one.id for one in every if silence.until(one.id, one.queue) is not None)
        for step in steps(found, known, muted, now=now, settings=self._settings):
            if step.tell is None:
                await self._keep([step], versions)
                continue
            assert step.alarm is not None
            # Kept before it is told: who dies in between leaves it pending, and it is told again, never not at all.
            if await self._keep([step], versions) == [None]:
                continue
            alert = alert_of(step.alarm, step.tell)
            if await self._tell(alert):
                told.append(alert)
                await self._settle(step)
        return told

    async def _leads(self) -> bool:
        """Whether this process is the one that looks now."""
        storage, now = self._monitor.storage, self._monitor.store_now()
        life = max(3 * self._settings.every_ms, 15_000)
        found = await storage.entries(LEASE, ids=[LEASE], now=now)
        if found and found[0].text != self._me:
            return False
        change = EntryChange(id=LEASE, text=self._me, version=found[0].version if found else 0, ttl_ms=life)
        return await storage.write_entries(LEASE, [change], now=now) != [None]

    async def _keep(self, some: Sequence[Step], versions: Mapping[str, int]) -> list[int | None]:
        changes = [
            EntryChange(
                id=step.key, version=versions.get(step.key, 0), ttl_ms=LIFE_MS,
                text=None if step.alarm is None else msgspec.json.encode(step.alarm).decode(),
            )
            for step in some[:MAX_CHANGES]
        ]  # fmt: skip
        return await self._monitor.storage.write_entries(KIND, changes, now=self._monitor.store_now())

    async def _settle(self, step: Step) -> None:
        """It was told."""
        assert step.alarm is not None
        alarm = None if step.tell is AlertState.CLOSED else msgspec.structs.replace(step.alarm, pending=None)
        text = None if alarm is None else msgspec.json.encode(alarm).decode()
        change = EntryChange(id=step.key, text=text, ttl_ms=LIFE_MS)
        await self._monitor.storage.write_entries(KIND, [change], now=self._monitor.store_now())

    # -- telling -------------------------------------------------------------------------------------------------

    async def _tell(self, alert: Alert) -> bool:
        """Tell the log, the hooks and the alert queue; False when the job could not be added: it is tried again."""
        level = logging.INFO if alert.state is AlertState.CLOSED or alert.severity == "note" else logging.WARNING
        logger.log(
            level, "alert %s: %s", alert.state, alert.message,
            extra={"event": f"alert.{alert.state}", "rule": alert.rule, "severity": alert.severity,
                   "queue": alert.queue or None, "remedy": alert.remedy or None},
        )  # fmt: skip
        added = await self._add(alert)
        if added:
            for hook in self._hooks:
                await self._call(hook, alert)
        return added

    async def _add(self, alert: Alert) -> bool:
        if self._settings.queue in (None, alert.queue):  # what is wrong with the alert queue cannot be told through it
            return True
        # One job for one moment: when it is told twice, the second one is there already.
        job = NewJob(
            queue=str(self._settings.queue), name=self._settings.job, data=msgspec.json.encode(alert).decode(),
            id=f"alert-{alert.state}-{alert.at}-{sha256(alert.id.encode('utf-8', 'replace')).hexdigest()[:12]}",
        )  # fmt: skip
        try:
            await self._monitor.storage.add(
                await self._intake.admit([job], guarded=False), now=self._monitor.store_now()
            )
        except StorageError:
            raise
        except CorralError as error:
            logger.error("the alert job could not be added to %s, trying again: %s", job.queue, error)
            return False
        return True

    async def _call(self, hook: AlertHook, alert: Alert) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                answer = hook(alert)
                if answer is not None:
                    await answer

        outcome = await quietly(bounded)
        if outcome is not None:
            logger.error("hook %s failed on an alert", name_of(hook), exc_info=outcome)


@asynccontextmanager
async def alerting(
    monitor: Monitor, admin: Admin, app: Corral | None, settings: AlertSettings | None
) -> AsyncIterator[None]:
    """Watch for as long as the block lasts, if anybody wants to be told: hooks of the application, or settings."""
    hooks = () if app is None else app.alert_hooks
    if settings is None and not hooks:
        yield
        return
    intake = OPEN if app is None else app.intake
    async with Watch(monitor, admin, settings or AlertSettings(), hooks=hooks, intake=intake).running():
        yield


@asynccontextmanager
async def watching(app: Corral, table: Mapping[str, object] | None = None) -> AsyncIterator[None]:
    """Tell the application's hooks, and its alert queue, for as long as the block lasts.

    `corral worker` and the API do so by themselves. Elsewhere: `async with app, watching(app, {"queue": "alerts"})`.

    Args:
        table: what stands in `[alerts]` of corral.toml. Without it, what stands there and what the application says.

    Raises:
        ConfigError: a setting that cannot be meant.
    """
    settings = read_alerts(declared=app.alerts) if table is None else alert_settings(table)
    storage = await app.open()
    monitor = Monitor(storage, thresholds=DEFAULTS if settings is None else settings.thresholds)
    async with alerting(monitor, Admin(storage, monitor, app=app), app, settings):
        yield
