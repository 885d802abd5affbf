import asyncio
from pathlib import Path

import sqlalchemy as sa

from corral import Corral
from corral.handlers.kit.database import Database, Schema

METADATA = sa.MetaData()
NOTES = sa.Table("notes", METADATA, sa.Column("id", sa.String(40), primary_key=True), sa.Column("text", sa.Text))
FIRST = """import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.create_table("notes", sa.Column("id", sa.String(40), primary_key=True), sa.Column("text", sa.Text))
"""
Path("migrations/versions").mkdir(parents=True)
Path("migrations/versions/v0001_notes.py").write_text(FIRST)

app = Corral("sqlite:///corral.db")
database = Database("sqlite:///app.db")
database.needs(Schema("notes", METADATA, Path("migrations")))
database.attach(app)


@app.queue("notes").job("keep")
async def keep(id: str) -> int:
    async with database.begin() as connection:
        return await database.upsert(connection, NOTES, [{"id": id, "text": "as new"}], key=["id"])


async def main() -> None:
    async with app, await app.worker():
        print(await (await keep.add("a")).result(timeout=10), "row")


asyncio.run(main())
# -> 1 row
