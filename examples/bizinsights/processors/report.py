"""Queue `report-generation`: weekly, monthly and quarterly reports, mailed to whoever is to read them."""

from corral import Corral
from corral.handlers import reports
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import mail_to

from ..facts import BusinessBook
from ..payloads import QueueName
from ..queues import take_in


def register(
    app: Corral, settings: reports.ReportSettings, database: Database, book: BusinessBook, shelf: reports.FolderShelf
) -> None:
    """Serve the queue."""
    made = reports.bundle(
        {QueueName.REPORT_GENERATION: reports.BusinessSource(book.facts)},
        payloads={QueueName.REPORT_GENERATION: reports.BusinessReport}, database=database, settings=settings,
        shelf=shelf, send=mail_to(app.queues[QueueName.EMAIL_SENDING], QueueName.EMAIL_SENDING),
        template="report-delivery", queue=QueueName.REPORT_GENERATION,
    )  # fmt: skip
    take_in(app, made, QueueName.REPORT_GENERATION)
