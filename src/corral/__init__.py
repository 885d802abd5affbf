"""corral: background jobs for Python in Bull's model. Start on a SQLite file, grow to Redis by changing a URL."""

from corral._version import __version__
from corral.app.app import Corral
from corral.app.bundle import Bundle
from corral.app.definition import JobDefinition
from corral.app.queues import AppQueue
from corral.errors import CorralError
from corral.event import Event, EventType
from corral.job import Job, JobState
from corral.options import Exponential, Fixed, Keep, Priority, RateLimit
from corral.queue import JobHandle, Queue
from corral.schedule import Cron, Every, Missed, Overlap
from corral.signals import Discard, Retry, Snooze
from corral.storage.connect import connect
from corral.worker.context import JobContext, SyncJobContext
from corral.worker.worker import Worker, WorkerOptions

__all__ = [
    "AppQueue",
    "Bundle",
    "Corral",
    "CorralError",
    "Cron",
    "Discard",
    "Event",
    "EventType",
    "Every",
    "Exponential",
    "Fixed",
    "Job",
    "JobContext",
    "JobDefinition",
    "JobHandle",
    "JobState",
    "Keep",
    "Missed",
    "Overlap",
    "Priority",
    "Queue",
    "RateLimit",
    "Retry",
    "Snooze",
    "SyncJobContext",
    "Worker",
    "WorkerOptions",
    "__version__",
    "connect",
]
