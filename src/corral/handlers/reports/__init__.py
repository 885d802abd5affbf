"""Ready-made reports: gathered from facts or from other tools' files, made as HTML, PDF, XLSX and CSV, kept and mailed.

HTML, CSV and JSON need only jinja2 and the database; PDF, spreadsheets and charts need the rest of the extra. See
`docs/handlers/reports.md`.
"""

from corral.handlers.kit.extra import need

need("reports", "jinja2", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.reports.bundle import bundle, shelf_for  # noqa: E402
from corral.handlers.reports.document import (  # noqa: E402
    Cell,
    Chart,
    Column,
    Document,
    Figure,
    Series,
    Table,
)
from corral.handlers.reports.downloads import Download, Downloads  # noqa: E402
from corral.handlers.reports.links import Links  # noqa: E402
from corral.handlers.reports.maker import Addresses, ReportMaker, ReportResult  # noqa: E402
from corral.handlers.reports.output.formats import FORMATS, Format, available  # noqa: E402
from corral.handlers.reports.output.render import Rendered, render  # noqa: E402
from corral.handlers.reports.payload import (  # noqa: E402
    EXPECTED_SECONDS,
    PAYLOADS,
    BusinessReport,
    CustomReport,
    ExpiredReports,
    PipelineReport,
    PlatformReport,
    ProjectReport,
    ReportPayload,
    TeamReport,
)
from corral.handlers.reports.period import Period  # noqa: E402
from corral.handlers.reports.settings import ReportSettings  # noqa: E402
from corral.handlers.reports.shelf import Entry, FolderShelf, Shelf, Stored, Swept  # noqa: E402
from corral.handlers.reports.source import Request, Source  # noqa: E402
from corral.handlers.reports.sources.business import (  # noqa: E402
    BusinessDay,
    BusinessFacts,
    BusinessSource,
    Channel,
    ProductSales,
)
from corral.handlers.reports.sources.coverage_report import CoverageSource  # noqa: E402
from corral.handlers.reports.sources.files import FolderInputs, InputFile, InputFileError, Inputs  # noqa: E402
from corral.handlers.reports.sources.rows import (  # noqa: E402
    AnalyticsSource,
    AuditEvent,
    AuditSource,
    Measure,
    RowsSource,
)
from corral.handlers.reports.sources.runs import PipelineRun, PipelineSource  # noqa: E402
from corral.handlers.reports.sources.security import SecuritySource  # noqa: E402
from corral.handlers.reports.sources.team import Member, TeamDay, TeamFacts, TeamSource  # noqa: E402
from corral.handlers.reports.sources.tests import TestSource  # noqa: E402
from corral.handlers.reports.tables import SCHEMA  # noqa: E402

__all__ = [
    "EXPECTED_SECONDS",
    "FORMATS",
    "PAYLOADS",
    "SCHEMA",
    "Addresses",
    "AnalyticsSource",
    "AuditEvent",
    "AuditSource",
    "BusinessDay",
    "BusinessFacts",
    "BusinessReport",
    "BusinessSource",
    "Cell",
    "Channel",
    "Chart",
    "Column",
    "CoverageSource",
    "CustomReport",
    "Document",
    "Download",
    "Downloads",
    "Entry",
    "ExpiredReports",
    "Figure",
    "FolderInputs",
    "FolderShelf",
    "Format",
    "InputFile",
    "InputFileError",
    "Inputs",
    "Links",
    "Measure",
    "Member",
    "Period",
    "PipelineReport",
    "PipelineRun",
    "PipelineSource",
    "PlatformReport",
    "ProductSales",
    "ProjectReport",
    "Rendered",
    "ReportMaker",
    "ReportPayload",
    "ReportResult",
    "ReportSettings",
    "Request",
    "RowsSource",
    "SecuritySource",
    "Series",
    "Shelf",
    "Source",
    "Stored",
    "Swept",
    "Table",
    "TeamDay",
    "TeamFacts",
    "TeamReport",
    "TeamSource",
    "TestSource",
    "available",
    "bundle",
    "render",
    "shelf_for",
]
