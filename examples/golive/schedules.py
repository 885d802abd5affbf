"""The table of schedules, in UTC."""

from typing import NamedTuple

from corral import Corral, Cron

from .jobs import DAILY_FIGURES
from .payloads import CleanupJobType
from .queues import QueueName


class Line(NamedTuple):
    """One line: which job runs when, with what."""

    queue: QueueName
    job: str
    cron: str
    data: dict[str, object]


#: What `schedule_daily_cleanup` sets up.
CLEANUP: dict[str, Line] = {
    CleanupJobType.EXPIRED_TOKENS: Line(QueueName.CLEANUP, CleanupJobType.EXPIRED_TOKENS, "0 2 * * *", {}),
    CleanupJobType.OLD_LOGS: Line(QueueName.CLEANUP, CleanupJobType.OLD_LOGS, "0 3 * * *", {}),
    CleanupJobType.TEMP_FILES: Line(QueueName.CLEANUP, CleanupJobType.TEMP_FILES, "0 4 * * *", {}),
    CleanupJobType.OLD_ARTIFACTS: Line(QueueName.CLEANUP, CleanupJobType.OLD_ARTIFACTS, "0 4 * * 0", {}),
}

SCHEDULES: dict[str, Line] = {
    **CLEANUP,
    "daily-backup": Line(QueueName.ANALYTICS, "daily-backup", "0 1 * * *", {"type": "full"}),
    "health-check": Line(QueueName.ANALYTICS, "health-check", "0 * * * *", {}),
    "daily-figures": Line(QueueName.ANALYTICS, DAILY_FIGURES, "30 0 * * *", {}),
    "expired-reports": Line(QueueName.REPORT, "expired-reports", "0 5 * * *", {}),
}


def register(app: Corral) -> None:
    """Declare them; every worker brings the store in line with the table when it starts."""
    for key, line in SCHEDULES.items():
        app.schedule(str(key), Cron(line.cron), app.definition(line.queue, line.job), line.data)
