"""The mail that a report goes out with: a link, an attachment, or both."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from corral.handlers.kit.mail import Mail, MailFile
from corral.handlers.reports.document import Document
from corral.handlers.reports.output.formats import Format
from corral.handlers.reports.output.render import Rendered
from corral.handlers.reports.shelf import Stored
from corral.handlers.reports.words import change_of, line, show

#: Which of several documents is meant for people first.
_BEST: tuple[Format, ...] = ("pdf", "html", "xlsx", "csv", "json")
_MAX_SUBJECT = 200
_MAX_FIGURES = 12
_MAX_SUMMARY = 2_000


class Delivery(NamedTuple):
    """How reports go out. `auto` is a link where there can be one, else the document itself."""

    mode: Literal["auto", "link", "attachment", "both"]
    attach_bytes: int
    template: str


def report_mail(
    delivery: Delivery, address: str, document: Document, stored: Sequence[Stored], rendered: Sequence[Rendered],
    links: Mapping[str, str | None], about: Mapping[str, object],
) -> Mail:  # fmt: skip
    """The mail to one reader. `about` are facts that the document does not have, for the template."""
    best = sorted(stored, key=lambda one: _BEST.index(one.format))
    link = links.get(best[0].id) if best else None
    attached = (
        () if delivery.mode == "link" or (delivery.mode == "auto" and link) else _attached(delivery, best, rendered)
    )
    data: dict[str, object] = {
        "title": line(document.title),
        "period": document.period,
        "metrics": metrics(document),
        **about,
    }
    if document.subject:
        data["organizationName"] = line(document.subject)
    if attached:
        data["files"] = [file.filename for file in attached]
    summary = "\n\n".join(document.summary)[:_MAX_SUMMARY]
    if not attached and link is None:
        too_large = "The report is too large for a mail. It is kept where reports are kept."
        summary = f"{summary}\n\n{too_large}".strip()
    if summary:
        data["summary"] = summary
    if link is not None and delivery.mode != "attachment":
        data["reportUrl"], data["actionLabel"] = link, "Open the report"
    subject_of = f" – {line(document.subject)}" if document.subject else ""
    subject = f"{line(document.title)}{subject_of}: {document.period}"[:_MAX_SUBJECT]
    return Mail(to=(address,), subject=subject, template=delivery.template, data=data, attachments=attached)


def metrics(document: Document) -> list[dict[str, object]]:
    """A document's figures as a mail shows them."""
    shown: list[dict[str, object]] = []
    for figure in document.figures[:_MAX_FIGURES]:
        metric: dict[str, object] = {"label": line(figure.label), "value": show(figure.value, figure.kind, figure.unit)}
        if (change := change_of(figure)) is not None:
            metric["change"] = change.text
        shown.append(metric)
    return shown


def _attached(delivery: Delivery, best: Sequence[Stored], rendered: Sequence[Rendered]) -> tuple[MailFile, ...]:
    """The best document that is small enough."""
    bodies = {one.format: one for one in rendered}
    for stored in best:
        if stored.bytes <= delivery.attach_bytes:
            one = bodies[stored.format]
            plain = one.content_type.partition(";")[0]
            return (MailFile(filename=stored.filename, content=one.body, content_type=plain),)
    return ()
