"""Queue `alerts`: kept, told to the organization's administrators, and not told a hundred times."""

from collections.abc import Sequence
from typing import TypedDict

from corral import Alert as QueueAlert
from corral import Corral, JobContext
from corral.handlers import alerts
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import mail_to
from corral.handlers.kit.web import RefusedError
from corral.handlers.sync import Integration, Integrations

from ..organizations import Organizations
from ..payloads import QueueName, RaiseAlert, Severity
from ..queues import UNNAMED, take_in

#: Whose alerts are those of the platform itself. It is no organization: the setting `operators` says who they are.
OPERATORS = "bizinsights"


class Watched(TypedDict):
    """What a look at the integrations found."""

    integrations: int
    low: list[str]


def register(
    app: Corral, settings: alerts.AlertSettings, database: Database, organizations: Organizations,
    integrations: Integrations, *, quota: float, operators: Sequence[str] = (),
) -> None:  # fmt: skip
    """Serve the queue; tell of jobs that failed for good, of queues that pile up, and of quotas that run out."""
    send = mail_to(app.queues[QueueName.EMAIL_SENDING], QueueName.EMAIL_SENDING)

    async def tell_admins(id: str, alert: alerts.Alert) -> object:
        organization = None if alert.organization == OPERATORS else await organizations.get(alert.organization)
        people = operators if organization is None else organization.admins
        if (organization is None and alert.organization != OPERATORS) or not people:
            raise RefusedError(f"nobody is there to be told of the alerts of {alert.organization}")
        return await alerts.by_mail(send, people)(id, alert)

    admins = alerts.Route(name="admins", tell=tell_admins, at_least=Severity.HIGH)
    made = alerts.bundle(settings, database=database, routes=[admins], send=send, queue=QueueName.ALERTS)
    queue = take_in(app, made, "alert")
    for name in (QueueName.ALERTS, UNNAMED):
        if name not in queue.definitions:
            queue.job(name)(queue.definition("alert").__wrapped__)
    alerts.alert_on_failure(app, OPERATORS, queue=QueueName.ALERTS)

    @queue.job("watch-integrations")
    async def watch(ctx: JobContext) -> Watched:
        """See whose quota runs out. Alerts of one kind and integration are one, so a second run tells nobody again."""
        known = await integrations.list()
        low = [one for one in known if _is_low(one, quota)]
        for one in low:
            assert one.quota is not None
            left = round(100 * one.quota.remaining / one.quota.limit)
            alert = RaiseAlert(
                organization_id=one.organization_id, alert_type="API_QUOTA_LOW", severity=Severity.MEDIUM, key=one.id,
                message=f"{one.platform} will answer only {left} % more of what it answers in all.",
                metadata={"integrationId": one.id, "callsToday": one.calls_today},
            )  # fmt: skip
            await ctx.add(QueueName.ALERTS, "alert", alert.model_dump(mode="json", by_alias=True))
        return {"integrations": len(known), "low": [one.id for one in low]}

    @app.on_alert
    async def pile_up(alert: QueueAlert) -> None:
        """What corral itself has found: too many waiting jobs, a queue that nobody serves."""
        if alert.state not in ("opened", "worse") or alert.queue == QueueName.ALERTS:
            return
        severity = Severity.CRITICAL if alert.severity == "critical" else Severity.MEDIUM
        raised = RaiseAlert(
            organization_id=OPERATORS, alert_type="QUEUE_ATTENTION", severity=severity, key=alert.id[:256],
            message=f"{alert.message}. {alert.remedy}"[:2_000],
        )  # fmt: skip
        await queue.definition("alert").add(raised)


def _is_low(integration: Integration, share: float) -> bool:
    quota = integration.quota
    return quota is not None and quota.limit > 0 and quota.remaining / quota.limit < share
