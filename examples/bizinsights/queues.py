"""The table of queues: how many jobs at once, for how long each, and for how long they stay readable."""

from typing import NamedTuple

from corral import AppQueue, Bundle, Corral, Exponential, GroupLimits, Keep

from .payloads import QueueName

DAY = 86_400
#: What Bull gives a job that is added without a name.
UNNAMED = "__default__"


class Plan(NamedTuple):
    """How a queue is run. Heavy work has one or two slots, light work five to ten."""

    concurrency: int
    timeout: float  #: seconds; the work is really stopped
    each: int | None = None  #: jobs at once for each integration (or sender)


PLANS = {
    QueueName.DATA_SYNC: Plan(2, 300, each=1),
    QueueName.INSIGHTS_GENERATION: Plan(2, 180),
    QueueName.WEBHOOK_PROCESSING: Plan(10, 30),
    QueueName.REPORT_GENERATION: Plan(2, 300),
    QueueName.EMAIL_SENDING: Plan(5, 10),
    QueueName.ALERTS: Plan(5, 30),
}


def declare_queues(app: Corral) -> None:
    """Declare them. For all of them: three attempts, 2 and 4 seconds apart; results kept a day, failures a week."""
    for name, plan in PLANS.items():
        app.queue(
            name, concurrency=plan.concurrency, attempts=3, backoff=Exponential(2), keep_completed=Keep(age=DAY),
            keep_failed=Keep(age=7 * DAY), timeout=plan.timeout, group_limits=GroupLimits(concurrency=plan.each),
        )  # fmt: skip


def take_in(app: Corral, bundle: Bundle, usual: str) -> AppQueue:
    """Take in a ready-made family under this platform's own rules, and its usual job also without a name.

    A bundle's own attempts and time limits would win over the queue's: here the table above is to hold for everything.
    """
    queue = app.queues[bundle.queue]
    for definition in bundle:
        queue.job(definition.name)(definition.__wrapped__)
        if definition.name == usual:
            queue.job(UNNAMED)(definition.__wrapped__)
    return queue
