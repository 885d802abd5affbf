"""Schedules and flows as the API shows and takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from pydantic import AwareDatetime, Field, JsonValue

from corral.http.models.base import Body, Json, Time, config, moment, plain, raw, when
from corral.http.models.job_views import summary_of
from corral.http.models.jobs import JobSummary
from corral.http.models.links import job_path, schedule_path
from corral.http.models.options import JobOpts
from corral.monitor.clocks import clock_change
from corral.monitor.objects import FlowRow, Run, ScheduleRow
from corral.schedule import Cron, Every, Schedule
from corral.timing import Millis


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """How a schedule's last run went, as far as its job is kept."""

    __pydantic_config__ = config()
    at: Time | None
    job_id: str | None
    state: str | None
    run_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Template:
    """What a schedule's jobs are made of."""

    __pydantic_config__ = config()
    name: str
    data: Json
    opts: Json
    priority: int
    computed: bool
    """Its payload is a function of the application, called at each run."""


@dataclass(frozen=True, kw_only=True)
class ScheduleInfo:
    """A schedule."""

    __pydantic_config__ = config(
        {
            "queue": "report", "id": "weekly", "name": "weekly-team-report", "when": "0 9 * * 1",
            "pattern": "0 9 * * 1", "every_ms": None, "tz": "UTC", "text": "Mondays at 09:00",
            "next_at": "2026-11-30T09:00:00.000Z", "next_job_id": "repeat:weekly:1795683600000", "iterations": 118,
            "state": "active", "overdue_seconds": 0, "missed": 0, "managed_by": "app", "last": None,
        }
    )  # fmt: skip
    queue: str
    id: str
    name: str
    """Of the jobs it makes."""
    when: str
    pattern: str | None
    every_ms: int | None
    tz: str
    text: str
    """The same in English."""
    start: Time | None
    end: Time | None
    limit: int | None
    next_at: Time | None
    next_job_id: str | None
    last: LastRun | None
    iterations: int
    state: str
    """`active`, `paused`, `overdue`, `lost` (it has no next run: repair it) or `ended`."""
    overdue_seconds: float
    missed: int
    """Slots that have passed since it was due, at most 100."""
    missed_policy: str
    overlap: str
    managed_by: str | None
    """The application that declares it in code: edits last until its next start. Null: people made it."""
    payload_preview: str
    clock_change: str | None
    """What becomes of a run when clocks change within two weeks: its time is left out, or comes twice."""
    links: Mapping[str, str]
    job: Template | None = None
    """Of one schedule; not in lists."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """One run to come."""

    __pydantic_config__ = config()
    at: Time
    there: str
    """As clocks show it in the schedule's zone."""
    here: str
    """As clocks show it in the zone that was asked for."""
    mark: str | None
    """When clocks have changed since the run before: what happened."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What a schedule says and does next."""

    __pydantic_config__ = config(
        {
            "text": "Mondays at 09:00",
            "runs": [{"at": "2026-11-30T09:00:00.000Z", "there": "2026-11-30T09:00:00+00:00",
                      "here": "2026-11-30T10:00:00+01:00", "mark": None}],
            "dst": [],
        }
    )  # fmt: skip
    text: str
    runs: Sequence[RunInfo]
    dst: Sequence[str]
    """The clock changes among these runs."""


@dataclass(frozen=True, kw_only=True)
class FlowInfo:
    """A flow that is not finished: its last job, and how far it is."""

    __pydantic_config__ = config()
    queue: str
    id: str
    name: str
    state: str
    job: JobSummary
    done: int
    failed: int
    pending: int
    complete: bool
    """Whether all of it was counted."""
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FlowAdded:
    """A job of a flow that was added, and those below it."""

    __pydantic_config__ = config()
    queue: str
    id: str
    name: str
    links: Mapping[str, str]
    children: Sequence["FlowAdded"] = ()


# -- requests ------------------------------------------------------------------------------------------------------


class TemplateBody(Body):
    """What the jobs of a schedule are made of."""

    name: str = Field(min_length=1, max_length=128)
    data: JsonValue = Field(default_factory=dict)
    opts: JobOpts = JobOpts()


class TimingBody(Body):
    """When: a cron line, or every so many milliseconds."""

    pattern: str | None = Field(default=None, max_length=1_000)
    every_ms: int | None = Field(default=None, ge=100, le=316_224_000_000)
    tz: str = Field(default="UTC", max_length=100)


class ScheduleBody(TimingBody):
    """A schedule as it is to be."""

    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    limit: int | None = Field(default=None, ge=1, le=1_000_000_000)
    missed_policy: str = "once"
    """`skip`, `once` or `all`: what happens to slots that nobody served."""
    overlap: str = "allow"
    """`allow` or `skip`: whether a slot is left out while the previous run is not finished."""
    job: TemplateBody


class SchedulePatch(Body):
    """A change to a schedule. What is left out stays as it is; null takes a bound away."""

    pattern: str | None = Field(default=None, max_length=1_000)
    every_ms: int | None = Field(default=None, ge=100, le=316_224_000_000)
    tz: str | None = Field(default=None, max_length=100)
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    limit: int | None = Field(default=None, ge=1, le=1_000_000_000)
    missed_policy: str | None = None
    overlap: str | None = None
    job: TemplateBody | None = None


class PreviewBody(TimingBody):
    """A timing to look at, before it is anybody's."""

    n: int = Field(default=10, ge=1, le=100)
    here: str = Field(default="UTC", max_length=100)
    """The zone of whoever reads it."""


class FlowBody(Body):
    """A job with the jobs that go before it."""

    queue: str
    name: str
    data: JsonValue = Field(default_factory=dict)
    opts: JobOpts = JobOpts()
    on_failure: str | None = None
    """What its failure means for the job that waits for it: `fail`, `wait`, `continue`, `ignore`, `remove`."""
    children: list["FlowBody"] = Field(default_factory=list, max_length=1_000)


class FlowRetryBody(Body):
    """Which jobs of the flow are to run again: `failed` or `all`."""

    only: str = "failed"
    reason: str = Field(default="", max_length=1_000)


# -- from the monitor ----------------------------------------------------------------------------------------------


def schedule_of(row: ScheduleRow, base: str, now: Millis, template: Template | None = None) -> ScheduleInfo:
    """A schedule as it is shown."""
    every = row.when.startswith("every ")
    last = None
    if row.last_at is not None or row.last_job_id is not None:
        state = None if row.last_state is None else str(row.last_state)
        last = LastRun(at=when(row.last_at), job_id=row.last_job_id, state=state, run_ms=row.last_run_ms)
    here = schedule_path(row.queue, row.key, base)
    links = {"self": here, "next": f"{here}/next"}
    if row.last_job_id is not None:
        links["last"] = job_path(row.queue, row.last_job_id, base)
    return ScheduleInfo(
        queue=row.queue, id=row.key, name=row.name, when=row.when, pattern=None if every else row.when,
        every_ms=round(float(row.when.split()[1]) * 1000) if every else None, tz=row.tz, text=row.words,
        start=when(row.start_at), end=when(row.end_at), limit=row.limit, next_at=when(row.next_at),
        next_job_id=None if row.next_at is None else f"repeat:{row.key}:{row.next_at}", last=last,
        iterations=row.fired, state=row.state, overdue_seconds=row.overdue_ms / 1000, missed=row.missed,
        missed_policy=row.missed_policy, overlap=row.overlap, managed_by=row.owner or None,
        payload_preview=row.preview, clock_change=clock_change(row, now), links=links, job=template,
    )  # fmt: skip


def template_of(schedule: Schedule, data: str) -> Template:
    """What the jobs are made of; `data` as it may be shown."""
    return Template(
        name=schedule.name, data=raw(data) or msgspec.Raw(b"{}"), opts=plain(schedule.options),
        priority=schedule.priority, computed=schedule.computed,
    )  # fmt: skip


def schedule_key(schedule: Schedule) -> tuple[object, ...]:
    """What a schedule is known by: what people may change. Its runs leave it the same."""
    return (
        schedule.name, schedule.timing, schedule.data, schedule.options, schedule.priority, schedule.start_at,
        schedule.end_at, schedule.limit, schedule.missed, schedule.overlap, schedule.paused,
    )  # fmt: skip


def every_ms_of(schedule: Schedule) -> int | None:
    """The interval of a schedule that has one."""
    return schedule.timing.ms if isinstance(schedule.timing, Every) else None


def zone_of(schedule: Schedule) -> str:
    """The zone of a schedule that has one."""
    return schedule.timing.tz if isinstance(schedule.timing, Cron) else "UTC"


def runs_of(words: str, runs: Sequence[Run]) -> Runs:
    """The runs to come."""
    return Runs(
        text=words,
        runs=[RunInfo(at=moment(one.at), there=one.there, here=one.here, mark=one.mark or None) for one in runs],
        dst=[one.mark for one in runs if one.mark],
    )


def flow_row_of(row: FlowRow, base: str) -> FlowInfo:
    """A flow in a list."""
    job = row.job
    here = job_path(job.queue, job.id, base)
    return FlowInfo(
        queue=job.queue, id=job.id, name=job.name, state=str(job.state), job=summary_of(job, base), done=row.done,
        failed=row.failed, pending=row.pending, complete=row.complete,
        links={"self": here.replace("/queues/", "/flows/", 1).replace("/jobs/", "/", 1), "job": here},
    )  # fmt: skip
