"""corral: background jobs for Python in Bull's model. Start on a SQLite file, grow to Redis by changing a URL.

The names below are imported when they are first used, so that `corral --help` and whoever only looks at the package
stay fast. `__init__.pyi` beside this file tells type checkers and editors the same; a test keeps the two together.
"""

from importlib import import_module

#: Each public name and the module that defines it.
_HOME = {
    "AddKeywords": "corral.keywords",
    "AppQueue": "corral.app.queues",
    "BaseWorker": "corral.worker.worker",
    "Bundle": "corral.app.bundle",
    "ConfigError": "corral.errors",
    "Corral": "corral.app.app",
    "CorralError": "corral.errors",
    "Cron": "corral.schedule",
    "Discard": "corral.signals",
    "Event": "corral.event",
    "EventType": "corral.event",
    "Every": "corral.schedule",
    "Exponential": "corral.options",
    "Fixed": "corral.options",
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
    "OLDEST": "corral.event",
    "Overlap": "corral.schedule",
    "PayloadError": "corral.errors",
    "Priority": "corral.options",
    "Queue": "corral.queue",
    "QueueCounts": "corral.storage.port",
    "QueueFullError": "corral.errors",
    "RateLimit": "corral.options",
    "RegistrationError": "corral.errors",
    "Retry": "corral.signals",
    "Snooze": "corral.signals",
    "Storage": "corral.storage.port",
    "StorageError": "corral.errors",
    "SyncJobContext": "corral.worker.context",
    "UnknownJobError": "corral.errors",
    "Worker": "corral.worker.single",
    "WorkerOptions": "corral.worker.worker",
    "__version__": "corral._version",
    "connect": "corral.storage.connect",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'corral' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
