"""An application as TeamSpark's guide describes its e-mail worker, without the mail."""

import asyncio
import logging
from pathlib import Path

from pydantic import BaseModel

from corral import Corral, Cron, Every, JobContext, RateLimit

log = logging.getLogger("teamspark")

app = Corral(name="teamspark")
mail = app.queue("send-email", concurrency=5, rate_limit=RateLimit(1000, per=1))
reports = app.queue("generate-report", concurrency=2)


class Email(BaseModel):
    """What an e-mail job carries."""

    to: str
    subject: str = "Hello"


@mail.job("welcome-email")
async def welcome(ctx: JobContext, data: Email) -> dict[str, object]:
    """Send nothing, and say so as the guide does."""
    log.info("Processing email job", extra={"to": data.to})
    await ctx.log(f"to {data.to}")
    log.info("Email sent successfully")
    return {"sentTo": data.to}


@mail.job("failing")
async def failing() -> None:
    """Fail for good."""
    raise RuntimeError("550 no such mailbox")


@mail.job("add-another")
async def add_another() -> None:
    """Add a job while running one."""
    await welcome.add(Email(to="second@example.com"))


@mail.job("append")
def append(data: dict[str, str]) -> None:
    """Leave a line in a file: who runs twice writes twice."""
    with Path(data["file"]).open("a") as file:
        file.write(data["line"] + "\n")


@mail.job("hold")
async def hold(data: dict[str, str]) -> None:
    """Run until a file exists."""
    log.info("holding now")
    while not Path(data["until"]).exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.01)


@reports.job("weekly")
async def weekly() -> None:
    """Make no report."""


def _made_now() -> dict[str, str]:
    return {"made": "now"}


@reports.job("computed")
async def computed(data: dict[str, str]) -> dict[str, str]:
    """Give back what the schedule made up."""
    return data


app.schedule("weekly-team-reports", Cron("0 9 * * 1", tz="Europe/Oslo"), weekly)
app.schedule("computed-reports", Every(86_400), computed, _made_now)
