"""The bundle: the health checks as an application takes them in."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from corral.app.bundle import Bundle
from corral.error_text import describe
from corral.errors import ConfigError, StorageError
from corral.handlers.health.checks import Check, DiskCheck, UrlCheck
from corral.handlers.health.found import WHOLE, Change, Health, Look, worst
from corral.handlers.health.payload import CheckHealth
from corral.handlers.health.settings import HealthSettings
from corral.handlers.health.states import States
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import Mail, SendMail
from corral.handlers.kit.web import Web
from corral.options import Exponential
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

JOBS = ("health-check",)
#: Tells somebody, under an id that is the same in every attempt.
Alert = Callable[[str, Change], Awaitable[object]]

logger = logging.getLogger("corral.handlers.health")


def bundle(
    settings: HealthSettings | None = None, *, checks: Iterable[Check] = (), database: Database | None = None,
    web: Web | None = None, alert: Alert | None = None, send: SendMail | None = None, queue: str = "health",
    jobs: Iterable[str] = JOBS, clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The job that looks at everything, for `app.include(bundle(checks=[…]))`. Reads the settings; looks at nothing.

    Args:
        settings: addresses and disks; by default what the environment, `.env` and `corral.toml` say.
        checks: what else there is to look at.
        database: where it is kept how each check stands, so that only news is told.
        web: how the settings' addresses are reached; by default only public ones, by https.
        alert: how somebody is told. send: how mails to `HEALTH_ALERT_TO` are handed in.

    Raises:
        ConfigError: settings that cannot be meant, two checks of one name, or addresses without a way to send mail.
    """
    settings = HealthSettings.load() if settings is None else settings
    if settings.alert_to and send is None:
        raise ConfigError("HEALTH_ALERT_TO needs a way to send mail: bundle(send=…)", key="health_alert_to")
    web = web or Web(timeout=settings.health_timeout)
    known: dict[str, Check] = {}
    listed = [UrlCheck(url, web) for url in settings.urls]
    disks = [DiskCheck(folder, free=settings.health_disk_free) for folder in settings.disks]
    for check in (*checks, *listed, *disks):
        if known.setdefault(check.name, check) is not check:
            raise ConfigError(
                f"two health checks are called {check.name!r}: give one of them another name", key="checks"
            )
    remind_ms = round(settings.health_remind_hours * 3_600_000)
    states = None
    if database is not None:
        states = States(database, after=settings.health_after, remind_ms=remind_ms, clock=clock)
    alerts = [alert] if alert is not None else []
    if send is not None and settings.alert_to:
        alerts.append(by_mail(send, settings.alert_to))
    doctor = Doctor(known, states, alerts, timeout=settings.health_timeout, clock=clock)

    async def check_health(ctx: JobContext, data: CheckHealth) -> Health:
        """Look at everything. A second run looks again, is no second look to the alerts, and tells nobody twice."""
        return await doctor.look(ctx, data)

    # One attempt more than one: looking again is cheap, and only a store or database that is away fails the job.
    made = Bundle("health", queue=queue, attempts=2, backoff=Exponential(5), timeout=6 * settings.health_timeout)
    for name in jobs:
        made.job(name)(check_health)
    return made


class Doctor:
    """What the jobs use."""

    def __init__(
        self, checks: dict[str, Check], states: States | None, alerts: Sequence[Alert], *, timeout: float, clock: Clock
    ) -> None:
        self._checks = checks
        self._states = states
        self._alerts = alerts
        self._timeout = timeout
        self._clock = clock

    async def look(self, ctx: JobContext, data: CheckHealth) -> Health:
        """Look at everything at once, keep what was found, tell what is news.

        Raises:
            Discard: a check that does not exist, or none at all.
        """
        unknown = [name for name in data.only if name not in self._checks]
        if unknown or not self._checks:
            there = ", ".join(self._checks) or "none: set HEALTH_URLS or HEALTH_DISKS, or give bundle(checks=[…])"
            raise Discard(f"no health check is called {', '.join(unknown) or 'anything'}; there are {there}")
        chosen = [check for name, check in self._checks.items() if name in data.only or not data.only]
        answers = await examine(chosen, timeout=self._timeout)
        status = worst([look.status for look in answers])
        for look in answers:
            if look.status != "ok":
                logger.warning("Health check %s: %s, %s", look.name, look.status, look.text)
                await ctx.log(f"{look.name}: {look.status}, {look.text}")
        told = await self._tell(ctx, answers)
        return {
            "status": WHOLE[status],
            "checks": [
                {"name": look.name, "status": look.status, "text": look.text, "ms": look.ms} for look in answers
            ],
            "told": told,
        }  # fmt: skip

    async def _tell(self, ctx: JobContext, looks: Sequence[Look]) -> list[str]:
        job = f"{ctx.queue}/{ctx.id}/{ctx.job.created_at}"
        changes, kept = await self._news(looks, job)
        for change in changes:
            for alert in self._alerts:
                await alert(_id(job, change), change)
        if kept and self._states is not None:
            await self._states.told(changes)
        return [change.name for change in changes] if self._alerts else []

    async def _news(self, looks: Sequence[Look], job: str) -> tuple[list[Change], bool]:
        """What is to be told, and whether it is kept what was found."""
        if self._states is not None:
            try:
                return await self._states.note(looks, job), True
            except (SQLAlchemyError, StorageError, OSError) as error:
                # The database may be what is in trouble: then it is told without knowing what was told before.
                logger.warning("health cannot be kept: %s", describe(error))
        now = self._clock()
        bad = [look for look in looks if look.status != "ok"]
        return [
            Change(name=one.name, status=one.status, text=one.text, since=now, kind="trouble") for one in bad
        ], False


async def examine(checks: Iterable[Check], *, timeout: float = 10.0) -> list[Look]:
    """Look at several things at once, each for at most so many seconds: for a page of health, without a job."""
    return list(await asyncio.gather(*(_one(check, timeout) for check in checks)))


async def _one(check: Check, timeout: float) -> Look:
    begun = time.monotonic()
    # Whatever a check raises is trouble with what it looks at, and never with the others.
    [found] = await asyncio.gather(asyncio.wait_for(check.look(), timeout), return_exceptions=True)
    ms = round(1000 * (time.monotonic() - begun))
    if isinstance(found, TimeoutError) and ms >= 990 * timeout:
        return Look(name=check.name, status="fail", text=f"no answer within {timeout:g} s", ms=ms)
    if isinstance(found, Exception):
        return Look(name=check.name, status="fail", text=describe(found)[:500], ms=ms)
    if isinstance(found, BaseException):
        raise found
    return Look(name=check.name, status=found.status, text=found.text[:500], ms=ms)


def by_mail(send: SendMail, to: Sequence[str]) -> Alert:
    """An alert that is a mail, by the template `alert`."""

    async def alert(id: str, change: Change) -> object:
        over = change.kind == "over"
        since = datetime.fromtimestamp(change.since / 1000, UTC)
        said = {"trouble": "is in trouble", "still": "is still in trouble", "over": "is well again"}[change.kind]
        data = {
            "title": f"{change.name} {said}", "message": change.text or change.status,
            "severity": "low" if over else "high" if change.status == "warn" else "critical",
            "alertType": "health", "metadata": {"since": f"{since:%Y-%m-%d %H:%M:%S} UTC", "status": change.status},
        }  # fmt: skip
        subject = " ".join(f"Health: {change.name} {said}".split())[:200]
        return await send(id, Mail(to=tuple(to), subject=subject, template="alert", data=data))

    return alert


def _id(job: str, change: Change) -> str:
    """The same in every attempt of a job. Ids have no colons, and a length."""
    return (
        "health-" + hashlib.sha256(f"{job}/{change.name}/{change.kind}".encode("utf-8", "backslashreplace")).hexdigest()
    )
