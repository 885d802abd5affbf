"""The public names, as type checkers see them. `__init__.py` says where each comes from at run time."""

from corral._version import __version__ as __version__
from corral.alert import Alert as Alert
from corral.alert import AlertOptions as AlertOptions
from corral.alert import AlertState as AlertState
from corral.app.app import Corral as Corral
from corral.app.bundle import Bundle as Bundle
from corral.app.declare import handles as handles
from corral.app.definition import JobDefinition as JobDefinition
from corral.app.queues import AppQueue as AppQueue
from corral.breaker import Breaker as Breaker
from corral.codec.compressed import Compressed as Compressed
from corral.codec.encrypted import Encrypted as Encrypted
from corral.codec.keys import new_key as new_key
from corral.codec.signed import Signed as Signed
from corral.effects import DoneStep as DoneStep
from corral.errors import ConfigError as ConfigError
from corral.errors import CorralError as CorralError
from corral.errors import EffectInProgressError as EffectInProgressError
from corral.errors import EffectUncertainError as EffectUncertainError
from corral.errors import JobCancelledError as JobCancelledError
from corral.errors import JobFailedError as JobFailedError
from corral.errors import JobNotFoundError as JobNotFoundError
from corral.errors import JobTimeoutError as JobTimeoutError
from corral.errors import PayloadError as PayloadError
from corral.errors import QueueFullError as QueueFullError
from corral.errors import RegistrationError as RegistrationError
from corral.errors import StorageError as StorageError
from corral.errors import UnknownJobError as UnknownJobError
from corral.event import NOW as NOW
from corral.event import OLDEST as OLDEST
from corral.event import Event as Event
from corral.event import EventType as EventType
from corral.figures import Figures as Figures
from corral.flow.dag import Dag as Dag
from corral.flow.flow import Flow as Flow
from corral.flow.flow import FlowHandle as FlowHandle
from corral.flow.node import Node as Node
from corral.flow.node import chain as chain
from corral.flow.node import fan_in as fan_in
from corral.flow.node import node as node
from corral.flow.read import FlowTree as FlowTree
from corral.job import After as After
from corral.job import Job as Job
from corral.job import JobState as JobState
from corral.job import NewJob as NewJob
from corral.job import ParentRef as ParentRef
from corral.job import redact as redact
from corral.keywords import AddKeywords as AddKeywords
from corral.keywords import NodeKeywords as NodeKeywords
from corral.options import Dedup as Dedup
from corral.options import Exponential as Exponential
from corral.options import Fixed as Fixed
from corral.options import GroupLimits as GroupLimits
from corral.options import Keep as Keep
from corral.options import ParentPolicy as ParentPolicy
from corral.options import Priority as Priority
from corral.options import RateLimit as RateLimit
from corral.queue import JobHandle as JobHandle
from corral.queue import Queue as Queue
from corral.schedule import Cron as Cron
from corral.schedule import Every as Every
from corral.schedule import Missed as Missed
from corral.schedule import Overlap as Overlap
from corral.sensitive import Sensitive as Sensitive
from corral.signals import Discard as Discard
from corral.signals import Retry as Retry
from corral.signals import Snooze as Snooze
from corral.signals import WaitForChildren as WaitForChildren
from corral.storage.connect import connect as connect
from corral.storage.insight import GroupInfo as GroupInfo
from corral.storage.port import Added as Added
from corral.storage.port import Children as Children
from corral.storage.port import QueueCounts as QueueCounts
from corral.storage.port import Storage as Storage
from corral.why import Cause as Cause
from corral.why import Why as Why
from corral.worker.adding import ChildrenOf as ChildrenOf
from corral.worker.batch import Batch as Batch
from corral.worker.batch import BatchContext as BatchContext
from corral.worker.batch import BatchJob as BatchJob
from corral.worker.batch import SyncBatchJob as SyncBatchJob
from corral.worker.context import JobContext as JobContext
from corral.worker.context import SyncJobContext as SyncJobContext
from corral.worker.single import Worker as Worker
from corral.worker.steps import Step as Step
from corral.worker.worker import BaseWorker as BaseWorker
from corral.worker.worker import WorkerOptions as WorkerOptions

# Literal, for whoever writes `from corral import *`: type checkers do not compute it.
__all__ = [  # noqa: RUF022  # in the order of `__init__.py`
    "AddKeywords", "Added", "After", "Alert", "AlertOptions", "AlertState", "AppQueue", "BaseWorker", "Batch",
    "BatchContext", "BatchJob", "Breaker", "Bundle", "Cause", "Children", "ChildrenOf", "Compressed", "ConfigError",
    "Corral", "CorralError", "Cron", "Dag", "Dedup", "Discard", "DoneStep", "EffectInProgressError",
    "EffectUncertainError", "Encrypted", "Event", "EventType", "Every", "Exponential", "Figures", "Fixed", "Flow",
    "FlowHandle", "FlowTree", "GroupInfo", "GroupLimits", "Job", "JobCancelledError", "JobContext", "JobDefinition",
    "JobFailedError", "JobHandle", "JobNotFoundError", "JobState", "JobTimeoutError", "Keep", "Missed", "NOW", "NewJob",
    "Node", "NodeKeywords", "OLDEST", "Overlap", "ParentPolicy", "ParentRef", "PayloadError", "Priority", "Queue",
    "QueueCounts", "QueueFullError", "RateLimit", "RegistrationError", "Retry", "Sensitive", "Signed", "Snooze", "Step",
    "Storage", "StorageError", "SyncBatchJob", "SyncJobContext", "UnknownJobError", "WaitForChildren", "Why", "Worker",
    "WorkerOptions", "__version__", "chain", "connect", "fan_in", "handles", "new_key", "node", "redact",
]  # fmt: skip
