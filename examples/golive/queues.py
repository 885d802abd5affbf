"""The eight queues: what each is for, how much runs at once, and whose turn it is."""

from enum import StrEnum
from typing import NamedTuple

from corral import Corral, Exponential, Priority

#: CRITICAL before HIGH before NORMAL before LOW; jobs that are added without a priority are NORMAL.
JobPriority = Priority


class QueueName(StrEnum):
    """The queues, by the names they have in the store."""

    EMAIL = "email"
    REPORT = "report"
    PIPELINE = "pipeline"
    TEST = "test"
    DEPLOYMENT = "deployment"
    NOTIFICATION = "notification"
    CLEANUP = "cleanup"
    ANALYTICS = "analytics"


class QueueRow(NamedTuple):
    """A line of the table."""

    purpose: str
    concurrency: int  #: jobs at once in each worker
    priority: JobPriority  #: of jobs that say nothing else


QUEUES = {
    QueueName.EMAIL: QueueRow("Send emails", 5, JobPriority.NORMAL),
    QueueName.REPORT: QueueRow("Generate reports", 2, JobPriority.NORMAL),
    QueueName.PIPELINE: QueueRow("Pipeline execution", 10, JobPriority.HIGH),
    QueueName.TEST: QueueRow("Test execution", 5, JobPriority.NORMAL),
    QueueName.DEPLOYMENT: QueueRow("Deployments", 3, JobPriority.HIGH),
    QueueName.NOTIFICATION: QueueRow("Push notifications", 10, JobPriority.NORMAL),
    QueueName.CLEANUP: QueueRow("Data cleanup", 1, JobPriority.LOW),
    QueueName.ANALYTICS: QueueRow("Analytics processing", 2, JobPriority.LOW),
}

#: A payload is a reference and not the thing itself: 64 kB are plenty, and more is a mistake that shows at once.
MAX_PAYLOAD = 64_000
#: Mails may carry a report as an attachment, and pipelines the commands of fifty steps.
LARGE_PAYLOAD = 1_000_000


def declare_queues(app: Corral) -> None:
    """Declare them. What holds for all: three attempts, 2 s and 4 s apart, the last 100 completed and 500 failed."""
    for name, row in QUEUES.items():
        large = name in (QueueName.EMAIL, QueueName.PIPELINE)
        app.queue(
            name,
            concurrency=row.concurrency,
            priority=row.priority,
            attempts=3,
            backoff=Exponential(2),
            keep_completed=100,
            keep_failed=500,
            max_payload=LARGE_PAYLOAD if large else MAX_PAYLOAD,
        )
