"""Queue `email-sending`: the platform's mails."""

from typing import Annotated

from pydantic import AfterValidator

from corral import Corral, JobContext
from corral.handlers.email import EmailSettings, Mailer, Sent, Templates, Transport, transport_for

from ..payloads import EmailJob, QueueName
from ..queues import UNNAMED


def register(app: Corral, settings: EmailSettings, transport: Transport | None = None) -> None:
    """Serve the queue. Without SMTP or Resend mails are written into files."""
    templates = Templates()
    mailer = Mailer(settings, transport or transport_for(settings), templates)

    def known(mail: EmailJob) -> EmailJob:
        templates.check(mail.template)  # a slip of the pen is refused when the job is added
        return mail

    async def send(ctx: JobContext, data: Annotated[EmailJob, AfterValidator(known)]) -> Sent:
        """Send one mail. One that was sent is not sent again by a second run."""
        return await mailer.deliver(ctx, data)

    queue = app.queues[QueueName.EMAIL_SENDING]
    for name in (QueueName.EMAIL_SENDING, UNNAMED):
        queue.job(name)(send)
