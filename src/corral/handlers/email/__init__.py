"""Ready-made e-mail jobs: `app.include(bundle())` and the queue `send-email` really sends.

Templates (HTML and text), SMTP, the Resend API, and files in `mail/` while neither is configured: see
`docs/handlers/email.md`.
"""

from corral.handlers.email.extra import need

need()  # before anything below imports what the extra brings

from corral.handlers.email.bundle import JOBS, bundle, transport_for  # noqa: E402
from corral.handlers.email.dryrun import DryRunTransport  # noqa: E402
from corral.handlers.email.mailer import Mailer, Sent  # noqa: E402
from corral.handlers.email.message import Message  # noqa: E402
from corral.handlers.email.payload import Attachment, SendEmail  # noqa: E402
from corral.handlers.email.resend import ResendTransport  # noqa: E402
from corral.handlers.email.samples import Sample, samples  # noqa: E402
from corral.handlers.email.settings import EmailSettings, Security, load_settings  # noqa: E402
from corral.handlers.email.smtp import SmtpTransport  # noqa: E402
from corral.handlers.email.templates import Templates, preview  # noqa: E402
from corral.handlers.email.transport import DeliveryError, Receipt, Refusal, Transport  # noqa: E402

__all__ = [
    "JOBS",
    "Attachment",
    "DeliveryError",
    "DryRunTransport",
    "EmailSettings",
    "Mailer",
    "Message",
    "Receipt",
    "Refusal",
    "ResendTransport",
    "Sample",
    "Security",
    "SendEmail",
    "Sent",
    "SmtpTransport",
    "Templates",
    "Transport",
    "bundle",
    "load_settings",
    "preview",
    "samples",
    "transport_for",
]
