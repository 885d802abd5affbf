"""The bundle: report jobs, declared for an application to take in."""

import logging
from collections.abc import Callable, Mapping

from pydantic import BaseModel

from corral.app.bundle import Bundle
from corral.errors import ConfigError, closest
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import SendMail
from corral.handlers.reports.links import Links
from corral.handlers.reports.maker import Addresses, ReportMaker, ReportResult
from corral.handlers.reports.output.formats import available, has_charts, need_format, why_not
from corral.handlers.reports.payload import PAYLOADS, ExpiredReports, ReportPayload
from corral.handlers.reports.settings import ReportSettings
from corral.handlers.reports.shelf import FolderShelf, Shelf, Swept
from corral.handlers.reports.source import AnySource, Source, source_of
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.reports")


def bundle(
    sources: Mapping[str, AnySource], *, database: Database | None = None, settings: ReportSettings | None = None,
    shelf: Shelf | None = None, send: SendMail | None = None, addresses: Addresses | None = None,
    payloads: Mapping[str, type[ReportPayload]] | None = None, template: str = "report-delivery",
    queue: str = "reports", sweep: str | None = "expired-reports", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The report jobs, for `app.include(bundle(…))`. Reads the settings; connects to nothing.

    Args:
        sources: for each job's name where its contents come from. Only these jobs are declared.
        database: where it is written down which documents there are; needed unless there is a shelf.
        settings: by default what the environment, `.env` and `corral.toml` say.
        shelf: where documents are kept; by default a folder.
        send: hands mails in; without it nothing is mailed.
        addresses: says who is behind the ids in `recipientIds` and `userId`.
        payloads: for names that corral does not know, what such a job carries.
        template: the mail's.
        sweep: the name of the job that removes what has expired; None declares none.

    Raises:
        ConfigError: settings that cannot be meant, a name without a payload, or a format that cannot be made here.
    """
    settings = ReportSettings.load() if settings is None else settings
    for form in settings.reports_formats:
        need_format(form)
    _say_what_lacks(settings)
    shelf = shelf_for(settings, database, clock=clock) if shelf is None else shelf
    maker = ReportMaker(settings, shelf, send=send, addresses=addresses, template=template, clock=clock)
    known = {**PAYLOADS, **(payloads or {})}
    made = Bundle("reports", queue=queue, attempts=3, backoff=Exponential(2), timeout=300)
    for name, source in sources.items():
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"report {name!r} needs an entry in payloads{hint}", key="payloads")
        made.job(name)(_reporting(maker, known[name], source_of(source)))
    if sweep is not None:
        made.job(sweep)(_sweeping(shelf))
    return made


def shelf_for(settings: ReportSettings, database: Database | None, *, clock: Clock = now_ms) -> FolderShelf:
    """The shelf that the settings describe: for the bundle, and for whoever hands documents out.

    Raises:
        ConfigError: no database.
    """
    if database is None:
        raise ConfigError(
            "reports need a database, or a shelf of your own: bundle(…, database=Database())", key="database"
        )
    links = None
    if settings.links and settings.reports_url is not None:
        links = Links(settings.secrets, settings.reports_url)
    return FolderShelf(
        settings.reports_folder, database, links=links, keep_days=settings.reports_keep_days,
        link_hours=settings.reports_link_hours, clock=clock,
    )  # fmt: skip


def _reporting(maker: ReportMaker, model: type[BaseModel], source: Source) -> Callable[..., object]:
    async def report(ctx: JobContext, data: ReportPayload) -> ReportResult:
        """Make one report, keep it, and mail it to its readers. A second run makes the same and mails nobody twice."""
        return await maker.make(ctx, data, source)

    report.__annotations__["data"] = model
    return report


def _sweeping(shelf: Shelf) -> Callable[..., object]:
    async def sweep(ctx: JobContext, data: ExpiredReports | None) -> Swept:
        """Remove expired documents. What is gone already is no error."""
        data = data or ExpiredReports()
        return await shelf.sweep(limit=data.limit, dry_run=data.dry_run)

    return sweep


def _say_what_lacks(settings: ReportSettings) -> None:
    """Whoever installed less than the extra is told once what that means."""
    if not settings.reports_formats and "pdf" not in available():
        logger.warning("%s; reports are made as HTML", why_not("pdf"))
    if not has_charts():
        logger.warning(
            "charts need an extra: pip install 'corral[reports]' (missing: matplotlib); they are shown as tables"
        )
