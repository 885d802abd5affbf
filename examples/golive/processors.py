"""The processors of the two queues that other parts of the platform know by name: registered once, at start-up."""

from pathlib import Path

from corral import AppQueue, Corral
from corral.handlers.email import EmailSettings, Mailer, Templates, Transport, bundle, transport_for
from corral.handlers.kit.mail import Mail, SendMail, mail_to
from corral.handlers.reports import FolderShelf, ReportSettings
from corral.handlers.reports import bundle as report_bundle

from .data import GoLive
from .jobs import email_jobs
from .payloads import EmailJobType
from .queues import QueueName
from .sources import report_sources

#: The job for every other mail, with or without attachments.
SEND_EMAIL = "send-email"


def initialize_email_processor(
    app: Corral, settings: EmailSettings | None = None, *, transport: Transport | None = None
) -> AppQueue:
    """Register the handlers of the queue `email`: HTML templates, five at once. A second call changes nothing.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    queue = app.queues[QueueName.EMAIL]
    if SEND_EMAIL not in queue.definitions:
        settings = settings or EmailSettings()
        transport = transport or transport_for(settings)
        app.include(bundle(settings, transport=transport, queue=QueueName.EMAIL, jobs=(SEND_EMAIL,)))
        email_jobs(queue, Mailer(settings, transport, Templates()))
    return queue


def initialize_report_processor(
    app: Corral, golive: GoLive, settings: ReportSettings, *, shelf: FolderShelf, inputs: Path
) -> AppQueue:
    """Register the handlers of the queue `report`: the five reports, two at once. A second call changes nothing.

    Args:
        inputs: where builds leave their coverage, and scanners what they found.
    """
    queue = app.queues[QueueName.REPORT]
    if not queue.definitions:
        made = report_bundle(
            report_sources(golive, inputs), database=golive.database, settings=settings, shelf=shelf,
            send=sender(app), addresses=golive.addresses, template="report-delivery", queue=QueueName.REPORT,
        )  # fmt: skip
        app.include(made)
    return queue


def sender(app: Corral) -> SendMail:
    """How other jobs hand mails in: as the kind of mail that has the template's name, else as `send-email`."""
    queue = app.queues[QueueName.EMAIL]
    plain = mail_to(queue, SEND_EMAIL)

    async def send(id: str, mail: Mail) -> object:
        if mail.attachments or mail.template not in list(EmailJobType):
            return await plain(id, mail)
        payload = {"to": list(mail.to), "subject": mail.subject, "context": dict(mail.data)}
        return await queue.definition(mail.template).add(payload, id=id)

    return send
