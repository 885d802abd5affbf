"""Mail as the other families see it: something to hand in under an id, that an e-mail queue sends."""

import base64
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from corral.app.queues import AppQueue


class MailFile(Struct, frozen=True, kw_only=True):
    """A small file to attach."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"

    def __repr__(self) -> str:
        return f"<MailFile {self.filename} of {len(self.content)} bytes>"


class Mail(Struct, frozen=True, kw_only=True):
    """One mail: whom it goes to, and the template and data it is made of."""

    to: tuple[str, ...]
    subject: str
    template: str
    data: Mapping[str, object] = {}
    attachments: tuple[MailFile, ...] = ()

    def __repr__(self) -> str:
        return f"<Mail {self.template} to {len(self.to)}>"


#: Hands a mail in under an id that is the same in every attempt: the second one with that id is the first one.
SendMail = Callable[[str, Mail], Awaitable[object]]


def mail_to(queue: AppQueue, job: str = "send-email") -> SendMail:
    """Hand mails in as jobs of an e-mail queue."""

    async def send(id: str, mail: Mail) -> object:
        payload: dict[str, object] = {
            "to": list(mail.to),
            "subject": mail.subject,
            "template": mail.template,
            "data": dict(mail.data),
        }
        if mail.attachments:
            payload["attachments"] = [
                {
                    "filename": file.filename,
                    "content": base64.b64encode(file.content).decode(),
                    "content_type": file.content_type,
                }
                for file in mail.attachments
            ]
        return await queue.definition(job).add(payload, id=id)

    return send
