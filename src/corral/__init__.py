"""corral: background jobs for Python in Bull's model. Start on a SQLite file, grow to Redis by changing a URL.

The names below are imported when they are first used, so that `corral --help` and whoever only looks at the package
stay fast. `__init__.pyi` beside this file tells type checkers and editors the same; a test keeps the two together.
"""

from importlib import import_module

#: Each public name and the module that defines it.
_HOME = {
    "AddKeywords": "corral.keywords",
    "Added": "corral.storage.port",
    "After": "corral.job",
    "Alert": "corral.alert",
    "AlertOptions": "corral.alert",
    "AlertState": "corral.alert",
    "AppQueue": "corral.app.queues",
    "BaseWorker": "corral.worker.worker",
    "Batch": "corral.worker.batch",
    "BatchContext": "corral.worker.batch",
    "BatchJob": "corral.worker.batch",
    "Breaker": "corral.breaker",
    "Bundle": "corral.app.bundle",
    "Cause": "corral.why",
    "Children": "corral.storage.port",
    "ChildrenOf": "corral.worker.adding",
    "Compressed": "corral.codec.compressed",
    "ConfigError": "corral.errors",
    "Corral": "corral.app.app",
    "CorralError": "corral.errors",
    "Cron": "corral.schedule",
    "Dag": "corral.flow.dag",
    "Dedup": "corral.options",
    "Discard": "corral.signals",
    "DoneStep": "corral.effects",
    "EffectInProgressError": "corral.errors",
    "EffectUncertainError": "corral.errors",
    "Encrypted": "corral.codec.encrypted",
    "Event": "corral.event",
    "EventType": "corral.event",
    "Every": "corral.schedule",
    "Exponential": "corral.options",
    "Figures": "corral.figures",
    "Fixed": "corral.options",
    "Flow": "corral.flow.flow",
    "FlowHandle": "corral.flow.flow",
    "FlowTree": "corral.flow.read",
    "GroupInfo": "corral.storage.insight",
    "GroupLimits": "corral.options",
    "Job": "corral.job",
    "JobCancelledError": "corral.errors",
    "JobContext": "corral.worker.context",
    "JobDefinition": "corral.app.definition",
    "JobFailedError": "corral.errors",
    "JobHandle": "corral.queue",
    "JobNotFoundError": "corral.errors",
    "JobState": "corral.job",
    "JobTimeoutError": "corral.errors",
    "Keep": "corral.options",
    "Missed": "corral.schedule",
    "NOW": "corral.event",
    "NewJob": "corral.job",
    "Node": "corral.flow.node",
    "NodeKeywords": "corral.keywords",
    "OLDEST": "corral.event",
    "Overlap": "corral.schedule",
    "ParentPolicy": "corral.options",
    "ParentRef": "corral.job",
    "PayloadError": "corral.errors",
    "Priority": "corral.options",
    "Queue": "corral.queue",
    "QueueCounts": "corral.storage.port",
    "QueueFullError": "corral.errors",
    "RateLimit": "corral.options",
    "RegistrationError": "corral.errors",
    "Retry": "corral.signals",
    "Sensitive": "corral.sensitive",
    "Signed": "corral.codec.signed",
    "Snooze": "corral.signals",
    "Step": "corral.worker.steps",
    "Storage": "corral.storage.port",
    "StorageError": "corral.errors",
    "SyncBatchJob": "corral.worker.batch",
    "SyncJobContext": "corral.worker.context",
    "UnknownJobError": "corral.errors",
    "WaitForChildren": "corral.signals",
    "Why": "corral.why",
    "Worker": "corral.worker.single",
    "WorkerOptions": "corral.worker.worker",
    "__version__": "corral._version",
    "chain": "corral.flow.node",
    "connect": "corral.storage.connect",
    "fan_in": "corral.flow.node",
    "handles": "corral.app.declare",
    "new_key": "corral.codec.keys",
    "node": "corral.flow.node",
    "redact": "corral.job",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'corral' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
