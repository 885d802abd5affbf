"""Queue and worker options: `new Queue(name, …)`, `new Worker(name, fn, …)`, `registerQueue`, `settings`."""

from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import quote

from msgspec import Struct

from corral.app.queues import QueueKeywords
from corral.compat.jobs import default_job_options, keep, limiter
from corral.compat.reading import Options, Reader, as_is, made, options_of, read, seconds, whole
from corral.errors import ConfigError
from corral.options import BackoffFunction, Keep, RateLimit
from corral.worker.worker import WorkerOptions

_UPKEEP = "every worker looks for the jobs of dead ones, often enough to find them within the lease and 5 s"
#: Accepted and without effect, each with the reason.
IGNORED_SETTINGS: Mapping[str, str] = {
    "lockRenewTime": "leases are renewed by a thread of their own, in time for the lease that is chosen",
    "stalledInterval": _UPKEEP,
    "guardInterval": "delayed jobs are found when they fall due",
    "retryProcessDelay": "a worker reconnects by itself, with growing pauses",
    "drainDelay": "a worker sleeps until the store wakes it",
    "isSharedChildPool": "the queues of a worker share one pool of processes",
}
IGNORED_WORKER_OPTIONS: Mapping[str, str] = {
    **IGNORED_SETTINGS,
    "autorun": "a worker starts with `async with` or `run()`, and not before",
    "connection": "the application knows its store",
    "prefix": "the application knows its store",
    "skipVersionCheck": "the store is always checked",
    "skipStalledCheck": _UPKEEP,
    "skipLockRenewal": "leases are always renewed",
    "runRetryDelay": "a worker reconnects by itself, with growing pauses",
    "maximumRateLimitDelay": "a worker sleeps until the window ends",
    "metrics": "figures are always kept",
    "telemetry": "tracing is set up on the application",
    "useWorkerThreads": "`process=True` on the handler runs it in a process",
    "blockingConnection": "the application knows its store",
    "maxStartedAttempts": "crashes are bounded by maxStalledCount, attempts by attempts",
}
IGNORED_QUEUE_OPTIONS: Mapping[str, str] = {
    "name": "the first argument of `app.queue`",
    "metrics": "figures are always kept",
    "streams": "10,000 events of a queue are kept",
    "skipVersionCheck": "the store is always checked",
    "skipMetasUpdate": "a queue's settings are written by its workers",
    "skipWaitingForReady": "an add waits for the store",
    "enableOfflineQueue": "an add fails when the store is away",
    "telemetry": "tracing is set up on the application",
    "processors": "handlers are declared with `@queue.job`",
    "createClient": "the application knows its store",
}


class WorkerSetup(Struct, frozen=True, kw_only=True):
    """What worker options say: for `app.queue`, for the jobs' own options, and for the worker process."""

    concurrency: int | None = None
    rate_limit: RateLimit | None = None
    keep_completed: Keep | None = None
    keep_failed: Keep | None = None
    max_crashes: int | None = None
    backoff: BackoffFunction | None = None
    options: WorkerOptions = WorkerOptions()

    def queue_keywords(self) -> QueueKeywords:
        """The part that is said to `app.queue`."""
        names = ("concurrency", "rate_limit", "keep_completed", "keep_failed", "max_crashes", "backoff")
        said = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return cast(QueueKeywords, said)


class QueueSetup(Struct, frozen=True, kw_only=True):
    """What queue options say. `url` is None when they say nothing about the connection."""

    keywords: QueueKeywords
    url: str | None = None
    lease: float | None = None  #: `settings.lockDuration`, for WorkerOptions


def _strategy(function: object) -> BackoffFunction:
    """BullMQ's `backoffStrategy(attemptsMade, type, error, job)`, which answers milliseconds."""
    if not callable(function):
        raise ConfigError(f"backoffStrategy must be a function, not {function!r}", key="backoffStrategy")
    strategy = cast(Callable[..., object], function)

    def wait(attempt: int, error: BaseException) -> float:
        return max(0.0, seconds(strategy(attempt, "custom", error, None), "what backoffStrategy answers"))

    return wait


def _strategies(value: object) -> BackoffFunction:
    """Bull's `backoffStrategies: {name: (attemptsMade, error) => ms}`. One queue has one."""
    table = options_of(value, "backoffStrategies")
    if len(table) != 1:
        raise ConfigError(
            "backoffStrategies must have one entry: give handlers with another one their own `backoff`",
            key="backoffStrategies",
        )
    [function] = table.values()
    if not callable(function):
        raise ConfigError(f"a back-off strategy must be a function, not {function!r}", key="backoffStrategies")
    strategy = cast(Callable[..., object], function)
    return lambda attempt, error: seconds(strategy(attempt, error), "what a back-off strategy answers")


_TIMES: Mapping[str, Reader] = {
    "lockDuration": made("lease", lambda value: seconds(value, "lockDuration")),
    # Bull fails a job at the stall after so many; corral counts the stall that fails it.
    "maxStalledCount": made("max_crashes", lambda value: whole(value, "maxStalledCount") + 1),
    "backoffStrategy": made("backoff", _strategy),
    "backoffStrategies": made("backoff", _strategies),
}
_WORKER: Mapping[str, Reader] = {
    "concurrency": made("concurrency", lambda value: whole(value, "concurrency")),
    "limiter": made("rate_limit", limiter),
    "removeOnComplete": made("keep_completed", keep),
    "removeOnFail": made("keep_failed", lambda value: keep(value, "removeOnFail")),
    "name": made("name", str),
    "settings": lambda value: read(options_of(value, "settings"), _TIMES, IGNORED_SETTINGS),
    **_TIMES,
}


def worker_options(options: Options) -> WorkerSetup:
    """What BullMQ's worker options say in corral's words.

    Raises:
        UnknownOptionError: an option it does not have; it carries the nearest one. ConfigError: a value out of range.
    """
    said = read(options, _WORKER, IGNORED_WORKER_OPTIONS)
    own = {key: said.pop(key) for key in ("name", "lease") if key in said}
    return WorkerSetup(options=WorkerOptions(**own), **said)  # type: ignore[arg-type]  # each was converted above


#: Options of the Node client.
_CLIENT = ("maxRetriesPerRequest", "enableReadyCheck", "lazyConnect", "connectTimeout", "family", "keepAlive")


def redis_url(value: object, prefix: str | None = None) -> str:
    """`{host, port, password, username, db, tls}` or a URL, as a store's. Raises: ConfigError, UnknownOptionError."""
    if isinstance(value, str):
        url = value
    else:
        ignored = dict.fromkeys(_CLIENT, "the adapter decides")
        names = ("host", "port", "password", "username", "db", "tls")
        found = read(options_of(value, "connection"), {key: as_is(key) for key in names}, ignored)
        secret = quote(str(found.get("password") or ""), safe="")
        user = quote(str(found.get("username") or ""), safe="")
        login = f"{user}:{secret}@" if secret or user else ""
        scheme = "rediss" if found.get("tls") else "redis"
        url = f"{scheme}://{login}{found.get('host', 'localhost')}:{found.get('port', 6379)}/{found.get('db', 0)}"
    if prefix is None or prefix == "bull":
        return url
    return f"{url}{'&' if '?' in url else '?'}prefix={quote(prefix, safe='')}"


def queue_options(options: Options) -> QueueSetup:
    """What Bull's or BullMQ's queue options say in corral's words, to be said to `app.queue` and `Corral`.

    Raises:
        UnknownOptionError: an option neither has; it carries the nearest one. ConfigError: a value out of range.
    """
    parts: dict[str, Reader] = {
        "redis": as_is("connection"),
        "connection": as_is("connection"),
        "prefix": made("prefix", str),
        "defaultJobOptions": lambda value: default_job_options(options_of(value, "defaultJobOptions")),
        "limiter": made("rate_limit", limiter),
        "settings": _WORKER["settings"],
    }
    said = read(options, parts, IGNORED_QUEUE_OPTIONS)
    connection, prefix, lease = said.pop("connection", None), said.pop("prefix", None), said.pop("lease", None)
    url = None if connection is None and prefix is None else redis_url(connection or {}, cast(str | None, prefix))
    return QueueSetup(keywords=cast(QueueKeywords, said), url=url, lease=cast(float | None, lease))
