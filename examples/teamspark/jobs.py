"""What the platform's jobs do: corral's ready-made handlers, with the platform's people, data and folders behind them.

Every handler may run twice: a worker can die between doing the work and saying so. What each of them does about that
stands on its page in `docs/handlers`.
"""

from datetime import timedelta
from pathlib import Path

from corral import AppQueue, Bundle, Corral
from corral.handlers import checkins, cleanup, email, metrics, notifications, reports, slack
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import SendMail, mail_to

from .payloads import JobType
from .tables import sessions
from .team import Team


def bundles(
    app: Corral, database: Database, team: Team, home: Path, settings: email.EmailSettings,
    transport: email.Transport | None,
) -> list[Bundle]:  # fmt: skip
    """The seven queues' handlers."""
    send = mail_to(app.queues[JobType.SEND_EMAIL])
    return [
        email.bundle(settings, transport=transport),
        slack.bundle(database=database),
        report_jobs(database, team, home, send),
        cleanup_jobs(database, home),
        notifications.bundle(database=database, people=team, send=send),
        checkins.bundle(database=database, tell=lead_teller(app.queues[JobType.SEND_KUDOS_NOTIFICATION], team)),
        metrics.bundle(database=database, source=team),
    ]


def report_jobs(database: Database, team: Team, home: Path, send: SendMail) -> Bundle:
    """Reports, mailed to the people who are to read them, with the document attached."""
    source = reports.TeamSource(team.report)
    sources: dict[str, reports.Source] = {f"{kind}-report": source for kind in ("weekly", "monthly", "quarterly")}
    sources["custom-report"] = reports.RowsSource("Kudos", team.praise)
    made = reports.ReportSettings.load(reports_folder=home / "reports", reports_brand="TeamSpark")
    return reports.bundle(
        sources, database=database, settings=made, send=send, addresses=team.addresses, queue=JobType.GENERATE_REPORT
    )


def cleanup_jobs(database: Database, home: Path) -> Bundle:
    """Temporary files after a day, logs into an archive after a month, sessions when they are over."""
    rules: list[cleanup.Rule] = [
        cleanup.FileRule("temp-files", home / "tmp", older_than=timedelta(hours=24)),
        cleanup.FileRule(
            "old-logs", home / "logs", older_than=timedelta(days=30), match=("*.log*",), archive=home / "old-logs"
        ),
        cleanup.RowRule("sessions", sessions.c.expires_at),
    ]
    return cleanup.bundle(
        cleanup.CleanupSettings.load(), rules=rules, database=database, queue=JobType.CLEANUP_OLD_DATA, jobs=()
    )


def lead_teller(queue: AppQueue, team: Team) -> checkins.TellInsight:
    """Let the leads know what the check-ins brought to light, under the insight's id: once, however often."""

    async def tell(id: str, insight: checkins.Insight) -> None:
        leads = [one for one in await team.leads(insight.organization) if one != insight.subject]
        if not leads:
            return
        names = {one.id: one.name for one in await team.people(insight.organization)}
        who = names.get(insight.subject, insight.subject) or "The organization"
        note = notifications.Notify(
            organization_id=insight.organization,
            recipient_ids=tuple(leads),
            title=f"{who}: {insight.kind.replace('-', ' ')}",
            message=insight.text,
            kind="insight",
            url=f"/people/{insight.subject}" if insight.subject in names else None,
        )
        await queue.definition("send-notification").add(note, id=id)

    return tell
