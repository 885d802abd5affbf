"""The maker: turns one job into one report, kept and mailed."""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypeAlias, TypedDict
from zoneinfo import ZoneInfo

from msgspec import structs

from corral.errors import StorageError
from corral.handlers.kit.mail import SendMail
from corral.handlers.reports.delivery import Delivery, report_mail
from corral.handlers.reports.document import Document
from corral.handlers.reports.output.formats import Format, available, why_not
from corral.handlers.reports.output.render import Rendered, render
from corral.handlers.reports.payload import EXPECTED_SECONDS, ReportPayload
from corral.handlers.reports.period import Period
from corral.handlers.reports.settings import ReportSettings
from corral.handlers.reports.shelf import Entry, Shelf, Stored
from corral.handlers.reports.source import Request, Source
from corral.job import Job
from corral.payload import from_json, to_json
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.reports")

#: Says which address is behind an id: `{"user-1": "Ann Lee <ann@example.org>"}`. Ids that nobody has are left out.
Addresses: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]


class DocumentResult(TypedDict):
    """A document that was made."""

    id: str
    format: str
    bytes: int
    filename: str
    unshown: NotRequired[str]  #: scripts of which it shows boxes: no font here has them


class ReportResult(TypedDict):
    """The result of a job that made a report."""

    reportId: str
    title: str
    period: str
    documents: list[DocumentResult]
    mails: int
    seconds: float
    slow: bool
    expectedSeconds: NotRequired[float]
    unknownRecipients: NotRequired[list[str]]
    alreadyMade: NotRequired[bool]


class ReportMaker:
    """Makes reports. Bundles use it; so can a handler of your own, with a source of its own."""

    def __init__(
        self, settings: ReportSettings, shelf: Shelf, *, send: SendMail | None = None,
        addresses: Addresses | None = None, template: str = "report-delivery", clock: Clock = now_ms,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._shelf = shelf
        self._send = send
        self._addresses = addresses
        self._template = template
        self._clock = clock

    async def make(self, ctx: JobContext, payload: ReportPayload, source: Source) -> ReportResult:
        """Make a job's report: gather, render, keep, mail.

        A second run finds the note of a first one that did all this, and answers its result. Without the note it does
        everything again: a document takes the place of the one before, and a mail that was added already is not added
        again, for both are named after the job.

        Raises:
            Discard: a format that cannot be made here, or recipients of whom nobody is known.
        """
        began = self._clock()
        logger.info("Generating report", extra={"jobId": ctx.id, "report": ctx.name, "about": payload.about})
        formats = self._formats(payload)
        if (known := await self._made(ctx)) is not None:
            return {**known, "alreadyMade": True}
        people, unknown = await self._people(payload)
        await ctx.progress(0)
        request = self._request(ctx, payload, began)
        document = await source.gather(request)
        if payload.title:
            document = structs.replace(document, title=payload.title)
        if not document.period:
            document = structs.replace(document, period=request.period.words)
        await ctx.progress(33)
        rendered = await asyncio.to_thread(self._render, document, formats, began)
        await self._complain(ctx, rendered)
        await ctx.progress(66)
        stored = [await self._shelf.put(self._entry(ctx, request, document, one), one) for one in rendered]
        mails = await self._mail(ctx, request, people, document, stored, rendered)
        await ctx.progress(100)
        result = self._result(ctx, request, document, stored, mails, began)
        for told, one in zip(result["documents"], rendered, strict=True):
            if one.unshown:
                told["unshown"] = one.unshown
        if unknown:
            result["unknownRecipients"] = unknown
        await _note(ctx, result)
        logger.info("Report generated", extra={"jobId": ctx.id, "report": ctx.name, "seconds": result["seconds"]})
        return result

    # -- before ------------------------------------------------------------------------------------------------------

    def _formats(self, payload: ReportPayload) -> tuple[Format, ...]:
        formats = payload.formats or self._settings.usual_formats(available())
        for form in formats:
            if lacking := why_not(form):
                raise Discard(lacking)
        return formats

    async def _made(self, ctx: JobContext) -> ReportResult | None:
        """What an earlier run of this job did, if that is still there."""
        note = await ctx.recall("report")
        if note is None:
            return None
        result: ReportResult = from_json(note)  # type: ignore[assignment]  # only `_note` writes there
        for document in result["documents"]:
            if await self._shelf.find(document["id"]) is None:
                return None
        return result

    async def _people(self, payload: ReportPayload) -> tuple[list[str], list[str]]:
        """The addresses to mail to, each once, and the ids of whom none is known."""
        ids = list(dict.fromkeys(payload.recipient_ids))
        if not ids and not payload.recipient_emails and payload.user_id and self._addresses is not None:
            ids = [payload.user_id]  # whoever asked for it
        found = await self._addresses(ids) if ids and self._addresses is not None else {}
        unknown = [id for id in ids if id not in found]
        people = {
            _key(address): address for address in (*payload.recipient_emails, *(found[id] for id in ids if id in found))
        }
        if unknown and not people and payload.recipient_ids and self._addresses is not None:
            raise Discard(f"nobody has one of the ids {', '.join(unknown[:10])}")
        return list(people.values()), unknown

    def _request(self, ctx: JobContext, payload: ReportPayload, now: int) -> Request[ReportPayload]:
        zone = self._settings.reports_timezone
        # A run that comes late is still about the days before its slot.
        at = ctx.scheduled_for or datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
        period = payload.days(at.astimezone(ZoneInfo(zone)).date(), zone)
        return Request(
            report_id=_report_id(ctx, payload), kind=ctx.name, about=payload.about, period=period,
            previous=period.before(), payload=payload, now=at.astimezone(ZoneInfo(zone)),
        )  # fmt: skip

    # -- making and keeping --------------------------------------------------------------------------------------------

    def _render(self, document: Document, formats: Sequence[Format], now: int) -> list[Rendered]:
        settings = self._settings
        made = datetime.fromtimestamp(now / 1000, ZoneInfo(settings.reports_timezone))
        return [
            render(
                document, form, made_at=now, made=f"{made:%Y-%m-%d %H:%M} {made.tzname() or ''}".strip(),
                brand=settings.reports_brand, pdf_rows=settings.reports_pdf_rows, fonts=settings.reports_fonts,
            )
            for form in formats
        ]  # fmt: skip

    async def _complain(self, ctx: JobContext, rendered: Sequence[Rendered]) -> None:
        folder = self._settings.reports_fonts
        where = "REPORTS_FONTS names no folder" if folder is None else f"REPORTS_FONTS is {folder}"
        if folder is not None and not folder.is_dir():
            where += ", which is not there"
        for one in rendered:
            if one.unshown:
                text = (
                    f"no font has all characters of the {one.format} ({one.unshown}), so it shows boxes: "
                    f"put a font that has them, such as one of Noto's, into the folder REPORTS_FONTS ({where})"
                )
                logger.warning("report of job %s: %s", ctx.id, text)
                await ctx.log(text)

    def _entry(self, ctx: JobContext, request: Request[ReportPayload], document: Document, one: Rendered) -> Entry:
        return Entry(
            run=run_of(ctx.job),
            report_id=request.report_id,
            kind=ctx.name[:200],
            about=request.about,
            requested_by=request.payload.user_id or "",
            title=document.title,
            period=document.period[:100],
            first_day=request.period.first,
            last_day=request.period.last,
            filename=filename(ctx.name, request.period, one.format),
        )

    async def _mail(
        self, ctx: JobContext, request: Request[ReportPayload], people: Sequence[str], document: Document,
        stored: Sequence[Stored], rendered: Sequence[Rendered],
    ) -> int:  # fmt: skip
        if not people:
            return 0
        if self._send is None:
            logger.warning("report of job %s has recipients, but nothing sends mail: give the bundle send=", ctx.id)
            return 0
        delivery = Delivery(self._settings.reports_deliver, self._settings.reports_attach_bytes, self._template)
        links = {one.id: self._shelf.link(one) for one in stored}
        about: dict[str, object] = {"generatedAt": f"{request.now:%Y-%m-%d}"}
        if kind := getattr(request.payload, "report_type", None):
            about["reportType"] = kind
        run = run_of(ctx.job)
        for address in people:
            id = f"report-{run[:24]}-{hashlib.sha256(_key(address).encode()).hexdigest()[:10]}"
            await self._send(id, report_mail(delivery, address, document, stored, rendered, links, about))
        return len(people)

    def _result(
        self, ctx: JobContext, request: Request[ReportPayload], document: Document, stored: Sequence[Stored],
        mails: int, began: int,
    ) -> ReportResult:  # fmt: skip
        seconds = round((self._clock() - began) / 1000, 3)
        expected = EXPECTED_SECONDS.get(ctx.name)
        slow = expected is not None and seconds > expected
        if slow:
            logger.warning("report of job %s took %.1f s, more than the expected %.0f s", ctx.id, seconds, expected)
        result: ReportResult = {
            "reportId": request.report_id,
            "title": document.title,
            "period": document.period,
            "documents": [
                {"id": one.id, "format": one.format, "bytes": one.bytes, "filename": one.filename} for one in stored
            ],
            "mails": mails,
            "seconds": seconds,
            "slow": slow,
        }
        if expected is not None:
            result["expectedSeconds"] = expected
        return result


def run_of(job: Job) -> str:
    """A job's own key: the same in every attempt, and another when its id comes again for another job."""
    return hashlib.sha256(f"{job.queue}\n{job.id}\n{job.created_at}".encode()).hexdigest()[:40]


def filename(kind: str, period: Period, form: Format) -> str:
    """The name a document is saved under: made of the job's name and the days, in letters that suit any system."""
    slug = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:60] or "report"
    return f"{slug}-{period.first:%Y%m%d}-{period.last:%Y%m%d}.{form}"


def _report_id(ctx: JobContext, payload: ReportPayload) -> str:
    return str(getattr(payload, "report_id", None) or ctx.id)[:200]


def _key(address: str) -> str:
    """Two spellings of one mailbox get one mail."""
    return address.rpartition("<")[2].strip("> ").lower()


async def _note(ctx: JobContext, result: ReportResult) -> None:
    try:
        await ctx.note("report", to_json(result, "result"))
    except StorageError as error:
        # All is done. Failing now would do it again, which changes nothing, so there is no need to.
        logger.warning("report of job %s was made but could not be noted: %s", ctx.id, error)
