"""The table of the documents that are kept."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

metadata = sa.MetaData()

documents = sa.Table(
    "reports_documents",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),  # generated; the file is named after it
    sa.Column("run", sa.String(64), nullable=False),  # the job it comes from: the same in every attempt
    sa.Column("report_id", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(200), nullable=False),
    sa.Column("about", sa.String(200), nullable=False),  # the organization, project or pipeline; may be empty
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("period", sa.String(100), nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("format", sa.String(10), nullable=False),
    sa.Column("filename", sa.String(200), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("run", "format", name="reports_documents_run"),
    sa.Index("reports_documents_expiry", "expires_at"),
    sa.Index("reports_documents_about", "about", "created_at"),
)

SCHEMA = Schema("reports", metadata, folder_of(__file__))
