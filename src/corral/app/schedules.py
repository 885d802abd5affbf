"""The schedules an application declares in code: one table, checked when it is written down."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, cast

from corral.app.definition import JobDefinition
from corral.errors import ConfigError, RegistrationError
from corral.job import check_name
from corral.keywords import AddKeywords
from corral.options import JOB_KEYWORDS, JobKeywords, check_keywords
from corral.queue import new_job
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.timing import Millis, instant_ms


class ScheduleKeywords(JobKeywords, total=False):
    """The keywords of `app.schedule`: when it holds, and options for the jobs it makes."""

    start: datetime | float
    end: datetime | float
    limit: int
    missed: Missed
    overlap: Overlap


class _Own(TypedDict, total=False):
    start: datetime | float
    end: datetime | float
    limit: int
    missed: Missed
    overlap: Overlap


_KNOWN = JOB_KEYWORDS | frozenset(_Own.__annotations__)
E = TypeVar("E", bound=StrEnum)


class Schedules:
    """Declared schedules, and the functions that make payloads at run time."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._declared: dict[str, Schedule] = {}
        self.payloads: dict[tuple[str, str], Callable[[], str]] = {}

    def __len__(self) -> int:
        return len(self._declared)

    def declared(self) -> list[Schedule]:
        """All of them, as they are to be stored."""
        return list(self._declared.values())

    def queue_of(self, key: str) -> str | None:
        """The queue of a declared schedule."""
        schedule = self._declared.get(key)
        return None if schedule is None else schedule.queue

    def declare(
        self, key: str, timing: Cron | Every, job: JobDefinition[Any, Any], data: object, keywords: ScheduleKeywords
    ) -> None:
        """Check and note a schedule. See `Corral.schedule`."""
        check_name(key, "schedule key")
        if key in self._declared:
            raise RegistrationError(f"schedule {key!r} is declared already")
        if not isinstance(timing, Cron | Every):
            raise ConfigError(f"schedule {key!r} needs Cron('…') or Every(seconds), not {timing!r}", key="timing")
        check_keywords(cast(dict[str, object], keywords), _KNOWN)
        computed = callable(data) and not isinstance(data, type)
        options = cast(AddKeywords, {name: keywords[name] for name in keywords if name not in _Own.__annotations__})  # type: ignore[literal-required]  # its own keys
        # A computed payload is made at each run; its options are checked now, with the payload left open.
        template = (
            new_job(job.queue, job.name, "{}", options, job.handler.options, job.priority)
            if computed
            else job.new(data, **options)
        )
        if computed:
            make = cast(Callable[[], object], data)
            self.payloads[job.queue, key] = lambda: job.handler.payload.encode(make())
        self._declared[key] = Schedule(
            key=key,
            queue=job.queue,
            name=job.name,
            timing=timing,
            data=template.data,
            options=template.options,
            priority=template.priority,
            start_at=_instant(keywords, "start"),
            end_at=_instant(keywords, "end"),
            limit=_limit(keywords.get("limit")),
            missed=_choice(Missed, keywords.get("missed", Missed.ONCE), "missed"),
            overlap=_choice(Overlap, keywords.get("overlap", Overlap.ALLOW), "overlap"),
            owner=self._owner,
            computed=computed,
        )


def _choice(kind: type[E], value: str, key: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(one.value) for one in kind)
        raise ConfigError(f"{key} must be one of {known}, not {value!r}", key=key) from None


def _instant(keywords: ScheduleKeywords, key: str) -> Millis | None:
    value = cast(Mapping[str, Any], keywords).get(key)
    return None if value is None else instant_ms(value, key)


def _limit(value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"limit must be a number of runs, 1 or more, not {value!r}", key="limit")
    return value
