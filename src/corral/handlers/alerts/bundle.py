"""The bundle: alerts as an application takes them in."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TypedDict

from corral.app.app import Corral
from corral.app.bundle import Bundle
from corral.errors import ConfigError, CorralError
from corral.event import Event
from corral.handlers.alerts.payload import EscalateAlert, RaiseAlert, ResolveAlert, Severity
from corral.handlers.alerts.routes import Route, routes_for
from corral.handlers.alerts.settings import AlertSettings
from corral.handlers.alerts.store import Alert, Alerts, digest
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import SendMail
from corral.handlers.kit.web import AuthError, BlockedAddressError, BusyError, RefusedError, Web
from corral.job import Job
from corral.options import Exponential
from corral.payload import from_json
from corral.signals import Retry
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext
from corral.worker.steps import Step

logger = logging.getLogger("corral.handlers.alerts")

#: The names under which an alert can be raised; they do the same.
ALERT_JOBS = ("alert", "create-alert")
#: What trying again does not change.
_FOR_GOOD = (AuthError, RefusedError, BlockedAddressError)


class Alerted(TypedDict):
    """What became of an alert: `told` are the routes it took, `later` those it takes when nobody takes care of it."""

    alertId: str
    count: int
    told: list[str]
    later: list[str]


class Resolved(TypedDict):
    """Which alert ended; None when none was open."""

    alertId: str | None


class Escalated(TypedDict):
    """Whether it was told again, or how it stands."""

    told: bool
    state: str


def bundle(
    settings: AlertSettings | None = None, *, database: Database, routes: Sequence[Route] = (),
    send: SendMail | None = None, web: Web | None = None, queue: str = "alerts", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The alert jobs, for `app.include(bundle(database=…))`. Reads the settings; connects to nothing.

    Args:
        settings: whom alerts reach; by default what the environment, `.env` and `corral.toml` say.
        database: where alerts are kept. Attach it to the application: `database.attach(app)`.
        routes: further ways for them to take, beside those of the settings.
        send: hands a mail in, such as `mail_to(queue)`.
        web: how webhooks are asked.

    Raises:
        ConfigError: settings that cannot be meant, or two routes of one name.
    """
    settings = AlertSettings.load() if settings is None else settings
    ways = [*routes_for(settings, send, web or Web(), clock=clock), *routes]
    if len({route.name for route in ways}) != len(ways):
        raise ConfigError("each route needs a name of its own", key="alerts")
    desk = _Desk(settings, Alerts(database, clock=clock), ways)
    made = Bundle("alerts", queue=queue, attempts=5, backoff=Exponential(2), timeout=60)
    for name in ALERT_JOBS:
        made.job(name)(desk.raise_)
    made.job("resolve-alert")(desk.resolve)
    made.job("escalate-alert")(desk.escalate)
    return made


class _Desk:
    """The handlers, with what they work on."""

    def __init__(self, settings: AlertSettings, store: Alerts, routes: Sequence[Route]) -> None:
        self._quiet_ms = int(settings.alerts_quiet_minutes * 60_000)
        self._store = store
        self._routes = {route.name: route for route in routes}

    async def raise_(self, ctx: JobContext, data: RaiseAlert) -> Alerted:
        """Keep an alert and tell it, or count it where the same one is open and was told lately.

        Twice is as good as once: what the first run decided stands with its job, a route that was used is not used
        again, and looks for later are jobs with an id of their own.
        """
        raised = await self._store.record(data, job=_key(ctx), quiet_ms=self._quiet_ms)
        alert = raised.alert
        result: Alerted = {"alertId": alert.id, "count": alert.count, "told": [], "later": []}
        if not raised.tell:
            return result
        logger.warning(
            "Alert raised", extra={"jobId": ctx.id, "alertType": alert.type, "severity": alert.severity.value}
        )
        wanted = [one for one in self._routes.values() if alert.severity.rank >= one.at_least.rank]
        for route in wanted:
            if route.after:
                await self._look_later(ctx, alert, route, raised.turn)
                result["later"].append(route.name)
        result["told"] = await self._tell(ctx, alert, [one for one in wanted if not one.after], raised.turn)
        return result

    async def resolve(self, ctx: JobContext, data: ResolveAlert) -> Resolved:
        """End an alert. One that ended already is no error, so twice is as good as once."""
        ended = await self._store.resolve(data.organization_id, data.alert_type, data.key)
        return {"alertId": None if ended is None else ended.id}

    async def escalate(self, ctx: JobContext, data: EscalateAlert) -> Escalated:
        """Tell an alert that nobody took care of. A route that was used is not used again."""
        alert = await self._store.get(data.alert_id)
        route = self._routes.get(data.route)
        if alert is None or route is None or alert.state != "open":
            return {"told": False, "state": "gone" if alert is None or route is None else alert.state}
        told = await self._tell(ctx, alert, [route], data.turn)
        return {"told": bool(told), "state": alert.state}

    async def _look_later(self, ctx: JobContext, alert: Alert, route: Route, turn: int) -> None:
        look = {"alertId": alert.id, "route": route.name, "turn": turn}
        id = f"escalate-{alert.id}-{turn}-{digest(route.name)[:8]}"
        await ctx.add(ctx.queue, "escalate-alert", look, delay=route.after, id=id)

    async def _tell(self, ctx: JobContext, alert: Alert, routes: Sequence[Route], turn: int) -> list[str]:
        """Use each route once; one that fails does not keep the others waiting."""
        told: list[str] = []
        trouble: list[CorralError | OSError] = []
        for route in routes:
            id = f"alert-{alert.id}-{turn}-{digest(route.name)[:8]}"
            try:
                await ctx.step(Step("tell", key=route.name), self._go, route, id, alert, turn)
                told.append(route.name)
            except _FOR_GOOD as error:
                logger.error("alert %s cannot take the route %s: %s", alert.id, route.name, error)
                await self._store.delivered(alert.id, turn, route.name, str(error))
            except (CorralError, OSError) as error:
                await self._store.delivered(alert.id, turn, route.name, str(error))
                trouble.append(error)
        for one in trouble:
            if isinstance(one, BusyError) and one.after is not None:
                raise Retry(str(one), after=one.after)
        if trouble:
            raise trouble[0]
        return told

    async def _go(self, route: Route, id: str, alert: Alert, turn: int) -> None:
        await route.tell(id, alert)
        await self._store.delivered(alert.id, turn, route.name)


def alert_on_failure(
    app: Corral, organization: str, *, queue: str = "alerts", watch: Collection[str] | None = None,
    severity: Callable[[Job], Severity | None] | None = None,
) -> None:  # fmt: skip
    """Raise an alert whenever a job has failed for good: one for each queue and job name, as long as it is open.

    A job that somebody cancelled has not failed: there is none for it.

    Args:
        organization: whose administrators hear of it.
        watch: the queues to look at; all but `queue`, whose own failures nobody could be told of this way.
        severity: how bad a failure is, None for not worth a word. By default CRITICAL for jobs with priority 1, else
            HIGH.
    """
    grave = severity or _by_priority

    async def tell(event: Event, job: Job) -> None:
        if event.is_cancellation or job.queue == queue or (watch is not None and job.queue not in watch):
            return
        level = grave(job)
        if level is None:
            return
        reason = from_json(event.detail) if event.detail else job.failed_reason
        alert = RaiseAlert(
            organization_id=organization, alert_type="JOB_FAILED", severity=level, key=f"{job.queue}/{job.name}",
            message=f"Job {job.name} of queue {job.queue} failed: {reason}"[:2_000],
            metadata={"queue": job.queue, "name": job.name, "jobId": job.id},
        )  # fmt: skip
        id = f"failed-{digest(job.queue, job.id, str(job.created_at), str(job.attempts_started))}"
        await app.queues[queue].definition("alert").add(alert, id=id)

    app.on("failed")(tell)


def _by_priority(job: Job) -> Severity:
    return Severity.CRITICAL if job.priority == 1 else Severity.HIGH


def _key(ctx: JobContext) -> str:
    """The job, also when its id comes again with another one."""
    return digest(ctx.queue, ctx.id, str(ctx.job.created_at))
