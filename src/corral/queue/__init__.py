"""The queue: what a producer or an operator can do with it. Bull's verbs, asynchronous, over any store."""

from corral.intake import Guard as Guard
from corral.keywords import new_job as new_job
from corral.queue.adding import MAX_BULK as MAX_BULK
from corral.queue.queue import JobHandle as JobHandle
from corral.queue.queue import Queue as Queue
