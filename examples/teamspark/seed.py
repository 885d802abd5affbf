"""Samples to begin with: five people, a month of check-ins and kudos. The same ones each time, counted back from a day.

python -m examples.teamspark.seed
"""

import asyncio
import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from corral import Corral
from corral.handlers.checkins import ProcessCheckin
from corral.handlers.kit.database import Database
from corral.handlers.notifications import Kudos

from .build import database_of
from .schedules import ORGANIZATION
from .settings import Settings
from .tables import people
from .team import Team

SAMPLES = Path(__file__).with_name("team.json")


async def fill(database: Database, today: date | None = None) -> int:
    """Write the samples, for an open database; answers how many people there are. A second time changes nothing.

    Args:
        today: the samples' days are counted back from it; today's (UTC) by default.
    """
    team = Team(database)
    samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
    today = today or datetime.now(UTC).date()
    async with database.begin() as connection:
        rows = [{"organization": ORGANIZATION, **person} for person in samples["people"]]
        await database.upsert(connection, people, rows, key=["organization", "id"])
    for number, row in enumerate(samples["checkins"]):
        day = today - timedelta(row["daysAgo"])
        checkin = ProcessCheckin(
            organization_id=ORGANIZATION, person_id=row["person"], team_id="team-1", mood=row["mood"],
            goals_planned=row["planned"], goals_done=row["done"],
        )  # fmt: skip
        noon = int(datetime.combine(day, time(12), UTC).timestamp() * 1000)
        await team.checkins.record(checkin, day, job=f"sample-{number}", sent_at=noon)
    for row in samples["kudos"]:
        kudos = Kudos(
            organization_id=ORGANIZATION, sender_id=row["sender"], recipient_id=row["recipient"], message=row["message"]
        )
        await team.book.praise(row["id"], kudos, today - timedelta(row["daysAgo"]))
    return len(samples["people"])


async def main() -> None:
    """Write the samples where the environment says that the platform lives."""
    settings = Settings()
    url = Corral(settings.url).url
    settings.home(url).mkdir(mode=0o700, parents=True, exist_ok=True)
    database = database_of(settings, url)
    Team(database)  # says which tables it needs
    async with database:
        print(f"{await fill(database)} people are in {database!r}")


if __name__ == "__main__":
    asyncio.run(main())
