"""compat: Bull's and BullMQ's spellings. The only place where durations are milliseconds.

Functions turn options into corral's own: `job_options`, `queue_options`, `worker_options`, `repeat`, `backoff`, `keep`.
`BullQueue` and `BullQueues` have the methods that code written for Bull calls.
"""

from corral.compat.job import BullJob as BullJob
from corral.compat.jobs import backoff as backoff
from corral.compat.jobs import deduplication as deduplication
from corral.compat.jobs import default_job_options as default_job_options
from corral.compat.jobs import job_options as job_options
from corral.compat.jobs import keep as keep
from corral.compat.jobs import limiter as limiter
from corral.compat.manager import BullQueues as BullQueues
from corral.compat.queue import BullQueue as BullQueue
from corral.compat.queues import QueueSetup as QueueSetup
from corral.compat.queues import WorkerSetup as WorkerSetup
from corral.compat.queues import queue_options as queue_options
from corral.compat.queues import redis_url as redis_url
from corral.compat.queues import worker_options as worker_options
from corral.compat.repeats import Repeat as Repeat
from corral.compat.repeats import repeat as repeat
