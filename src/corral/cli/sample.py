"""Sample queues for `corral dev --demo`: jobs that succeed, fail, wait, repeat and depend on each other."""

import asyncio
import logging

from corral.app.app import Corral
from corral.app.bundle import Bundle
from corral.options import Exponential
from corral.schedule import Every
from corral.worker.context import JobContext

logger = logging.getLogger("corral.demo")

mail = Bundle("demo-mail", queue="demo-mail", attempts=3, backoff=Exponential(5.0), timeout=30.0)
reports = Bundle("demo-reports", queue="demo-reports")
#: What a recipient's address makes of a letter, so that the list of failures has something to show.
REFUSED = {"nobody@example.com": "550 no such mailbox", "full@example.com": "452 mailbox is full"}


class MailRefusedError(Exception):
    """A mail server that exists in the demonstration only has refused a letter."""


@mail.job("welcome")
async def welcome(ctx: JobContext, to: str) -> dict[str, str]:
    """Pretend to send a letter; some addresses are refused."""
    await ctx.log(f"connecting for {to}")
    await asyncio.sleep(0.2)
    if to in REFUSED:
        raise MailRefusedError(REFUSED[to])
    logger.info("sent", extra={"to": to})
    return {"sentTo": to}


@reports.job("part")
async def part(ctx: JobContext, rows: int) -> int:
    """Pretend to count rows, with progress."""
    for done in range(0, 101, 20):
        await ctx.progress(done)
        await asyncio.sleep(0.1)
    return rows


@reports.job("sum")
async def total(ctx: JobContext) -> int:
    """Add up what the parts have found."""
    return sum((await ctx.children_of(part)).results)


@reports.job("heartbeat")
async def heartbeat() -> str:
    """Something that repeats."""
    return "alive"


def take_in(app: Corral) -> None:
    """Have an application run the samples too."""
    app.include(mail, concurrency=2)
    app.include(reports, concurrency=3)
    app.schedule("demo-heartbeat", Every(30), app.definition("demo-reports", "heartbeat"))


def sample_app() -> Corral:
    """An application that has the samples only."""
    app = Corral(name="demo")
    take_in(app)
    return app


async def seed(app: Corral) -> None:
    """Add the samples' jobs, each at most once per store: their ids are fixed."""
    letters = app.definition("demo-mail", "welcome")
    for number in range(6):
        await letters.add(f"user{number}@example.com", id=f"demo-{number}")
    for to in REFUSED:
        await letters.add(to, id=f"demo-{to.partition('@')[0]}")
    await letters.add("later@example.com", id="demo-later", delay=600)
    await letters.add("urgent@example.com", id="demo-urgent", priority=1, tags=["vip"])
    one, whole = app.definition("demo-reports", "part"), app.definition("demo-reports", "sum")
    children = [one.node(rows, id=f"demo-part-{rows}") for rows in (1_200, 340, 56)]
    await app.flow.add(whole.node(children=children, id="demo-sum"))
