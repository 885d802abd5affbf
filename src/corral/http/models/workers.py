"""Workers as the API shows and steers them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from corral.http.models.base import Body, Listing, Time, config, moment, when
from corral.http.models.links import job_path, part
from corral.monitor.objects import JobRow, WorkerRow


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A job that runs."""

    __pydantic_config__ = config()
    queue: str
    id: str
    name: str
    started_at: Time | None
    worker: str | None
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker process."""

    __pydantic_config__ = config(
        {
            "id": "w_01jd8m3x", "name": "mailer-1", "host": "web-1", "pid": 2211, "state": "busy", "kind": "corral",
            "queues": {"email": {"slots": 5}}, "slots": 5, "busy": 5, "jobs": [],
            "started_at": "2026-11-20T05:13:25.000Z", "beat_at": "2026-11-23T05:13:24.000Z", "silent_seconds": 1.2,
            "version": "0.9.0", "rss_bytes": 220200960, "loop_lag_ms": 3, "cpu": 0.37,
            "handlers": ["email/welcome"],
            "tags": {"zone": "eu-1"},
        }
    )  # fmt: skip
    id: str
    name: str
    host: str
    pid: int
    state: str
    """`busy`, `idle`, `quiet` or `stale`."""
    kind: str
    queues: Mapping[str, "QueueSlots"]
    slots: int
    """Of the queues that are shown."""
    busy: int
    jobs: Sequence[RunningJob]
    """What it runs, as far as that was looked at."""
    started_at: Time
    beat_at: Time
    silent_seconds: float
    version: str
    rss_bytes: int | None
    loop_lag_ms: int | None
    cpu: float | None
    """Share of one core that it took lately; null: it does not say."""
    handlers: Sequence[str]
    tags: Mapping[str, str]
    """What it was started with: `--tag zone=eu-1`."""
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class QueueSlots:
    """What a worker does for one queue."""

    __pydantic_config__ = config()
    slots: int | None
    """Null: it does not say."""
    busy: int


@dataclass(frozen=True, kw_only=True)
class NodeWorker:
    """A worker of Node's, or of another BullMQ: all that is known of it is its connection."""

    __pydantic_config__ = config()
    queue: str
    name: str
    """Empty: it has none."""
    address: str
    connected_seconds: int
    library: str
    """What it is written with, where the server tells."""


@dataclass(frozen=True, kw_only=True)
class WorkerList(Listing[Worker]):
    """Workers, and jobs that run somewhere unknown."""

    __pydantic_config__ = config()
    items: Sequence[Worker]
    elsewhere: Sequence[RunningJob] = ()
    """Jobs that run on Node's workers, or on one that is gone."""
    complete: bool = True
    """Whether every running job was looked at."""
    nodes: Sequence[NodeWorker] | None = None
    """With `include=nodes`: workers that do not tell of themselves, by their connections; null: nobody can tell."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """An order to a worker. It takes a few seconds to be obeyed; see `links.answer`."""

    __pydantic_config__ = config(
        {"command_id": "01jd8m3x5y6z7a8b9c0d1e2f3g",
         "links": {"answer": "/api/v1/workers/w_1/commands/01jd8m3x5y6z7a8b9c0d1e2f3g"}}
    )  # fmt: skip
    command_id: str
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CommandAnswer:
    """What the worker answered to an order; null: nothing yet."""

    __pydantic_config__ = config({"command_id": "01jd8m3x5y6z7a8b9c0d1e2f3g", "answer": "quiet"})
    command_id: str
    answer: str | None


class StopBody(Body):
    """How long running jobs may take to end."""

    timeout_seconds: float | None = Field(default=None, ge=0, le=86_400)
    reason: str = Field(default="", max_length=1_000)


class ConcurrencyBody(Body):
    """How many jobs at once."""

    value: int = Field(ge=1, le=10_000)
    reason: str = Field(default="", max_length=1_000)


def running_of(row: JobRow, base: str) -> RunningJob:
    """A job that runs."""
    return RunningJob(
        queue=row.queue, id=row.id, name=row.name, started_at=when(row.started_at), worker=row.worker,
        links={"self": job_path(row.queue, row.id, base)},
    )  # fmt: skip


def worker_of(row: WorkerRow, base: str, queues: Sequence[str]) -> Worker:
    """A worker, with those of its queues that may be seen."""
    shown = set(queues)
    slots = dict(zip(row.queues, row.slots_of, strict=False))
    busy = {name: sum(job.queue == name for job in row.jobs) for name in queues}
    whole = len(shown) == len(row.queues)  # else its totals would tell of what it does for others
    here_busy = row.busy if whole else sum(busy.values())
    here = f"{base}/workers/{part(row.id)}"
    return Worker(
        id=row.id, name=row.name, host=row.host, pid=row.pid, kind="corral",
        state="idle" if row.state == "busy" and not here_busy else row.state,
        queues={name: QueueSlots(slots=slots.get(name), busy=busy[name]) for name in queues},
        slots=row.slots if whole else sum(slots.get(name) or 0 for name in queues), busy=here_busy,
        jobs=[running_of(job, base) for job in row.jobs if job.queue in shown],
        started_at=moment(row.started_at), beat_at=moment(row.seen_at), silent_seconds=row.silent_ms / 1000,
        version=row.version, rss_bytes=row.rss or None, loop_lag_ms=row.lag_ms, cpu=row.cpu,
        handlers=[one for one in row.handlers if one.partition("/")[0] in shown],
        tags=dict(row.tags),
        links={"self": here, "quiet": f"{here}/quiet", "stop": f"{here}/stop"},
    )  # fmt: skip
