"""Figures of a queue, for whoever asks: counted by the store, so they are those of all workers together."""

from typing_extensions import TypedDict

from corral import Corral
from corral.monitor.monitor import Monitor


class Metrics(TypedDict):
    """What was done. Times are means in milliseconds, 0 while nothing has ended."""

    processed: int
    failed: int
    avgWaitTime: float  #: from when it could run to when it did
    avgProcessingTime: float  #: of a run
    avgTotalTime: float


class QueueMetrics:
    """The figures of one queue."""

    def __init__(self, app: Corral, queue: str) -> None:
        self.app = app
        self.queue = queue

    async def get_metrics(self) -> Metrics:
        """How many jobs were processed and have failed, ever, and how long they took lately.

        Waiting and running are told apart: a queue that is slow needs more workers, a job that is slow does not.
        """
        try:
            row = (await Monitor(await self.app.open()).queue(self.queue)).queue
        except LookupError:  # nobody has used the queue yet
            return {"processed": 0, "failed": 0, "avgWaitTime": 0, "avgProcessingTime": 0, "avgTotalTime": 0}
        wait, run = row.wait.mean or 0.0, row.run.mean or 0.0
        return {
            "processed": row.completed_total, "failed": row.failed_total, "avgWaitTime": round(wait, 1),
            "avgProcessingTime": round(run, 1), "avgTotalTime": round(wait + run, 1),
        }  # fmt: skip
