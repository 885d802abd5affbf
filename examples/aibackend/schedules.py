"""The table of schedules. At every start a worker brings the store in line with it, dropped lines included."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from corral import Corral, Cron, Every

from .jobs import ZONE
from .payloads import Nothing, QueueName, Report


def today() -> Report:
    """The payload of a report: made when it is due, and not when the schedule is declared."""
    return Report(date=datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date().isoformat())


def register(app: Corral) -> None:
    """Declare every line. Times are UTC where no zone is named."""
    house = app.queues[QueueName.MAINTENANCE].definition
    app.schedule("daily-report", Cron("0 3 * * *", tz=ZONE), house("daily-report"), today)
    app.schedule("cleanup", Cron("*/5 * * * *"), house("cleanup"), {})
    app.schedule("sync", Every(3_600), house("sync"), Nothing())
    app.schedule("expired-tokens", Cron("0 2 * * *"), house("expired-tokens"), {})
    app.schedule("daily-backup", Cron("0 1 * * *"), house("daily-backup"), {"type": "full"})
    app.schedule("verify-backups", Cron("0 5 * * 0"), house("verify-backups"), {})
    app.schedule("health-check", Cron("0 * * * *"), house("health-check"), {})
