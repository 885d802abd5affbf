"""The bundle: the e-mail handler as an application takes it in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from corral.app.bundle import Bundle
from corral.handlers.email.dryrun import DryRunTransport
from corral.handlers.email.mailer import Mailer, Sent
from corral.handlers.email.payload import SendEmail
from corral.handlers.email.resend import ResendTransport
from corral.handlers.email.settings import EmailSettings, load_settings
from corral.handlers.email.smtp import SmtpTransport
from corral.handlers.email.templates import Templates, chosen
from corral.handlers.email.transport import Transport
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

#: The names under which mails can be added. They all do the same: what a mail looks like, its template says.
JOBS = ("send-email", "welcome-email", "reminder", "urgent", "team-update")


def bundle(
    settings: EmailSettings | None = None, *, transport: Transport | None = None,
    templates: Templates | str | Path | None = None, queue: str = "send-email", jobs: Iterable[str] = JOBS,
    clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The e-mail jobs, for `app.include(bundle())`. Reads the settings; connects to nothing.

    Args:
        settings: how e-mail leaves; by default what the environment, `.env` and `corral.toml` say.
        transport: another way for it to leave.
        templates: a folder of your own templates, beside corral's.
        jobs: the names to declare.

    Raises:
        ConfigError: settings that cannot be meant, or a template that is not valid.
    """
    settings = load_settings() if settings is None else settings
    known = chosen(templates)
    mailer = Mailer(settings, transport or transport_for(settings), known, clock=clock)

    async def send(ctx: JobContext, data: SendEmail) -> Sent:
        """Send one mail, made from a template. A second run of a job whose mail was sent sends nothing."""
        return await mailer.deliver(ctx, data)

    # An unknown template is refused when the job is added, with everything else that is wrong with it.
    send.__annotations__["data"] = Annotated[SendEmail, AfterValidator(lambda email: _checked(email, known))]
    made = Bundle("email", queue=queue, attempts=3, backoff=Exponential(2), timeout=30)
    for name in jobs:
        made.job(name)(send)
    return made


def transport_for(settings: EmailSettings) -> Transport:
    """The transport that the settings choose. Raises: ConfigError."""
    if settings.transport == "smtp" and settings.smtp_host is not None:
        return SmtpTransport(
            settings.smtp_host, settings.port, security=settings.security, user=settings.smtp_user,
            password=settings.smtp_password, timeout=settings.smtp_timeout, ca_file=settings.smtp_ca_file,
        )  # fmt: skip
    if settings.transport == "resend" and settings.resend_api_key is not None:
        return ResendTransport(settings.resend_api_key, url=settings.resend_url, timeout=settings.smtp_timeout)
    return DryRunTransport(settings.mail_dir)


def _checked(email: SendEmail, templates: Templates) -> SendEmail:
    templates.check(email.template)
    return email
