"""What the platform's own jobs do; the others are corral's, which `processors.py` and `build.py` take in.

Every handler may run twice: a worker can die between doing the work and saying so. What each of them does about that is
said in its docstring.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypedDict

from pydantic import AfterValidator

from corral import AppQueue, JobContext, Retry, Snooze, WaitForChildren, redact
from corral.handlers.email import Mailer, Sent

from .data import GoLive
from .payloads import EMAIL_PRIORITIES, CustomEmail, EmailJobData, EmailJobType, RollUp

logger = logging.getLogger("golive.jobs")

CUSTOM_EMAIL = "custom-email"
DAILY_FIGURES = "daily-figures"


# -- email -------------------------------------------------------------------------------------------------------------


def email_jobs(queue: AppQueue, mailer: Mailer) -> None:
    """A job for each kind of mail, and one for mails in words of one's own."""
    for kind in EmailJobType:
        queue.job(kind, priority=EMAIL_PRIORITIES[kind], timeout=30)(_mailing(EmailJobData, kind, mailer))
    queue.job(CUSTOM_EMAIL, timeout=30)(_mailing(CustomEmail, CUSTOM_EMAIL, mailer))


def _mailing(
    model: type[EmailJobData] | type[CustomEmail], kind: str, mailer: Mailer
) -> Callable[[JobContext, EmailJobData | CustomEmail], Awaitable[Sent]]:
    def checked(data: EmailJobData | CustomEmail) -> EmailJobData | CustomEmail:
        data.mail(kind)  # what cannot become a mail is refused when it is added
        return data

    async def send(ctx: JobContext, data: EmailJobData | CustomEmail) -> Sent:
        """Send one mail, once: a second run finds the note of the first."""
        return await mailer.deliver(ctx, data.mail(kind))

    send.__annotations__["data"] = Annotated[model, AfterValidator(checked)]
    return send


# -- analytics ---------------------------------------------------------------------------------------------------------


class Figures(TypedDict):
    """A day's figures."""

    day: str
    figures: Mapping[str, float]


def analytics_jobs(queue: AppQueue, golive: GoLive) -> None:
    """The figures that the analytics report is made of."""

    @queue.job(DAILY_FIGURES, timeout=300)
    async def daily_figures(ctx: JobContext, data: RollUp) -> Figures:
        """Calculate a day's figures and keep them in place of what was there: twice is as good as once."""
        day = data.day or (ctx.scheduled_for or datetime.now(UTC)).date() - timedelta(1)
        return {"day": day.isoformat(), "figures": await golive.roll_up(day)}


# -- what is logged of every job ---------------------------------------------------------------------------------------


async def lifecycle(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
    """Middleware: a line when a job starts, and one when it has completed or failed. What is sensitive is hidden."""
    logger.info("Job started", extra={"jobId": ctx.id, "type": ctx.name, "data": redact(ctx.job).data})
    try:
        result = await call_next()
    except (Retry, Snooze, WaitForChildren):  # it goes on another time
        raise
    except Exception as error:  # whatever it is, it has its line, and goes on to whoever decides about a retry
        logger.exception("Job failed", extra={"jobId": ctx.id, "error": str(error)})
        raise
    logger.info("Job completed", extra={"jobId": ctx.id, "result": result})
    return result
