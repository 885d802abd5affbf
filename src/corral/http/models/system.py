"""The server, its store and its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corral.http.models.base import Time, config


@dataclass(frozen=True, kw_only=True)
class SystemInfo:
    """This server and its store."""

    __pydantic_config__ = config(
        {"version": "0.9.0", "python": "3.12.4", "engine": "redis", "store": "redis://localhost:6379/0",
         "host": "web-1", "pid": 2211, "started_at": "2026-11-23T05:03:25.000Z", "queues": 4, "jobs": 1250, "workers": 2,
         "application": "app"}
    )  # fmt: skip
    version: str
    python: str
    engine: str
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


@dataclass(frozen=True, kw_only=True)
class SettingsInfo:
    """Settings in force, secrets left out."""

    __pydantic_config__ = config()
    items: Mapping[str, object]
