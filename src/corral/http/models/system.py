"""The server, its store and its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from corral.http.models.base import Body, Time, config


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What the store is made of; null: it has no such thing, or does not tell."""

    __pydantic_config__ = config()
    kind: str
    """`sqlite` or `redis`."""
    version: str
    memory_bytes: int | None
    memory_limit_bytes: int | None
    """0 is no limit."""
    evicted_keys: int | None
    """Thrown away for want of memory, ever: jobs may be among them."""
    db_bytes: int | None
    wal_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class SystemInfo:
    """This server and its store."""

    __pydantic_config__ = config(
        {"version": "0.9.0", "python": "3.12.4", "engine": {"kind": "redis", "version": "7.0.15"},
         "store": "redis://localhost:6379/0",
         "host": "web-1", "pid": 2211, "started_at": "2026-11-23T05:03:25.000Z", "queues": 4, "jobs": 1250,
         "workers": 2, "application": "app"}
    )  # fmt: skip
    version: str
    python: str
    engine: EngineInfo
    store: str
    """Where it is, passwords left out."""
    host: str
    pid: int
    started_at: Time
    queues: int
    jobs: int
    """That are kept."""
    workers: int
    application: str | None


@dataclass(frozen=True, kw_only=True)
class CheckInfo:
    """One check: what was looked at, what was seen, and the way out."""

    __pydantic_config__ = config()
    code: str
    check: str
    verdict: str
    """`ok`, `warning` or `failed`."""
    message: str
    fix: str | None
    queue: str | None
    fixable: bool
    """Whether `POST /system/doctor/fix` puts it right."""


@dataclass(frozen=True, kw_only=True)
class MendedInfo:
    """One thing that was put right."""

    __pydantic_config__ = config()
    check: str
    message: str
    queue: str | None


@dataclass(frozen=True, kw_only=True)
class MendedList:
    """What was put right."""

    __pydantic_config__ = config({"items": [{"check": "stalled", "message": "email: 2 jobs …", "queue": "email"}]})
    items: Sequence[MendedInfo]


class FixBody(Body):
    """Which checks, by number or name; none: all that can be put right."""

    only: list[str] = Field(default_factory=list, max_length=50)
    reason: str = Field(default="", max_length=1_000)


class IndexBody(Body):
    """Of which queue the index is made; without one, of all."""

    queue: str | None = Field(default=None, min_length=1, max_length=256)
    reason: str = Field(default="", max_length=1_000)


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What keeps jobs from running."""

    __pydantic_config__ = config()
    items: Sequence[CheckInfo]
    failed: int
    warnings: int


@dataclass(frozen=True, kw_only=True)
class VitalInfo:
    """One fact about the store."""

    __pydantic_config__ = config()
    name: str
    text: str
    fix: str | None
    grave: bool


@dataclass(frozen=True, kw_only=True)
class StorageInfo:
    """How the store is, and what is in it."""

    __pydantic_config__ = config()
    engine: str
    items: Sequence[VitalInfo]
    queues: Sequence["QueueSize"]


@dataclass(frozen=True, kw_only=True)
class QueueSize:
    """How many jobs one queue keeps, by state."""

    __pydantic_config__ = config()
    name: str
    jobs: int
    counts: Mapping[str, int]
    index: "IndexInfo | None" = None
    """Its index of tags and traces; null: there is none, and searches look through its jobs."""


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """The index of a queue: every job that had finished by then is in it. What came since is looked through."""

    __pydantic_config__ = config()
    made_at: Time
    jobs: int
    """That were looked at."""
    entries: int
    """Tags and traces that were found."""


@dataclass(frozen=True, kw_only=True)
class SettingsInfo:
    """Settings in force, secrets left out."""

    __pydantic_config__ = config()
    items: Mapping[str, object]
