"""What the monitor answers with: frozen, plain, ready for JSON. Instants and lengths of time are milliseconds."""

from collections.abc import Mapping

from msgspec import Struct

from corral.job import NO_OPTIONS, JobId, JobState, ParentRef
from corral.monitor.attempts import AttemptRow
from corral.options import JobOptions
from corral.storage.insight import FailureGroup
from corral.timing import Millis


class Spread(Struct, frozen=True):
    """How long attempts took, in milliseconds. None: nobody knows, or there were none."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Limit(Struct, frozen=True):
    """So many starts in each window."""

    count: int
    per_ms: Millis


class Rates(Struct, frozen=True, kw_only=True):
    """Attempts that ended in a stretch of time. `source`: how it is known.

    `metrics`: the store counted every one of them. `sample`: worked out from the newest finished jobs, because their
    workers record nothing (those of Node). `none`: nothing ended, as far as can be seen.
    """

    window_ms: Millis
    completed: int = 0
    failed: int = 0
    retried: int = 0
    per_second: float = 0.0  #: completed and failed jobs
    failure_share: float | None = None  #: of the jobs that ended; None when none did
    source: str = "none"
    exact: bool = True  #: False: there are at least so many


class Groups(Struct, frozen=True, kw_only=True):
    """A queue's groups in numbers, as far as they were looked at."""

    total: int = 0
    waiting: int = 0
    paused: int = 0
    held: int = 0
    complete: bool = True


class QueueRow(Struct, frozen=True, kw_only=True):
    """One queue in a list."""

    name: str
    state: str  #: active | paused | held | probing
    attention: int = 0  #: how bad it is: 0 nothing, 1 a note, 2 a warning, 3 critical
    waiting: int = 0
    active: int = 0
    delayed: int = 0
    waiting_children: int = 0
    completed: int = 0  #: kept
    failed: int = 0  #: kept
    paused_jobs: int = 0  #: those that wait while the queue is paused
    completed_total: int = 0  #: ever
    failed_total: int = 0  #: ever
    oldest_waiting_ms: Millis | None = None  #: how long the oldest waiting job has waited
    workers: int = 0
    slots: int = 0
    busy: int = 0
    rates: Rates
    wait: Spread = Spread()
    run: Spread = Spread()
    pause_reason: str = ""
    held_until: Millis | None = None
    hold_reason: str = ""
    concurrency: int | None = None
    rate_limit: Limit | None = None
    limited_until: Millis | None = None  #: the rate limit's window is used up until then
    grows_per_minute: float | None = None  #: waiting jobs more (or fewer) each minute; None: not known yet
    empty_in_ms: Millis | None = None  #: at this rate; None: it does not shrink
    oldest_active_ms: Millis | None = None  #: for how long the oldest running job has run; None: nobody has looked
    index_age_ms: Millis | None = None  #: how old its index of tags and traces is; None: it has none
    description: str = ""  #: what somebody has said that the queue is for
    slo_ms: Millis | None = None  #: the oldest waiting job shall not wait longer; None: the threshold holds


class Queues(Struct, frozen=True, kw_only=True):
    """Queues, and how many fit in all."""

    items: tuple[QueueRow, ...]
    total: int


class Setting(Struct, frozen=True, kw_only=True):
    """Retention of one state."""

    count: int | None = None
    age_ms: Millis | None = None


class QueueDetail(Struct, frozen=True, kw_only=True):
    """One queue with its settings."""

    queue: QueueRow
    limits: tuple[Limit, ...] = ()  #: further windows
    add_limit: Limit | None = None
    name_concurrency: Mapping[str, int] = {}
    name_limits: Mapping[str, tuple[Limit, ...]] = {}
    group_concurrency: int | None = None
    group_max_size: int | None = None
    group_limits: tuple[Limit, ...] = ()
    groups: Groups = Groups()
    priorities: Mapping[int, int] = {}  #: waiting jobs by priority, best first …
    priorities_complete: bool = True  #: … of the first 20 that occur
    keep_completed: Setting | None = None
    keep_failed: Setting | None = None
    schedules: int = 0
    workers: tuple[str, ...] = ()  #: their ids


class Totals(Struct, frozen=True, kw_only=True):
    """All queues together."""

    waiting: int = 0
    active: int = 0
    delayed: int = 0
    waiting_children: int = 0
    completed: int = 0
    failed: int = 0
    completed_total: int = 0
    failed_total: int = 0


class Finding(Struct, frozen=True, kw_only=True):
    """Something that wants attention. `remedy` says what to do; `id` stays the same while it lasts."""

    rule: str
    severity: str  #: note | warning | critical
    message: str
    queue: str = ""
    subject: str = ""  #: the schedule, worker or group it is about
    since: Millis | None = None
    value: float | None = None
    threshold: float | None = None
    remedy: str = ""

    @property
    def id(self) -> str:
        """What it is known by: rule, queue and subject."""
        return "/".join(one for one in (self.rule, self.queue, self.subject) if one)


class Overview(Struct, frozen=True, kw_only=True):
    """All there is, in one answer."""

    at: Millis
    totals: Totals
    rates: Rates
    wait: Spread
    run: Spread
    oldest_waiting_ms: Millis | None
    oldest_waiting_queue: str
    workers: int
    slots: int
    busy: int
    schedules: int
    overdue: int
    queues: tuple[QueueRow, ...]  #: those that want attention first
    attention: tuple[Finding, ...]
    spreads_of: int  #: queues whose percentiles are known …
    worked: int  #: … of those in which something ended
    took_ms: float


class JobRow(Struct, frozen=True, kw_only=True):
    """One job in a list. `preview` is the beginning of its payload, what is sensitive hidden."""

    id: JobId
    queue: str
    name: str
    state: JobState
    created_at: Millis
    run_at: Millis | None = None
    started_at: Millis | None = None
    finished_at: Millis | None = None
    wait_ms: Millis | None = None  #: from ready to claimed, or until now; of the last attempt
    run_ms: Millis | None = None  #: from claimed to ended, or until now
    attempts_made: int = 0
    attempts: int | None = None  #: how many it may have; None: its handler or queue says
    crashes: int = 0
    priority: int = 0
    progress: str | None = None  #: the beginning of it, as JSON text
    worker: str | None = None
    group: str | None = None
    fingerprint: str | None = None
    dedup_id: str | None = None
    parent: str | None = None  #: queue/id
    pending_children: int = 0
    schedule: str | None = None
    tags: tuple[str, ...] = ()
    trace_id: str | None = None  #: 32 hexadecimal digits
    rerun_of: str | None = None  #: queue/id of the job that it was made from
    reason: str | None = None  #: why its last attempt failed, the beginning of it
    preview: str = ""
    data_bytes: int = 0
    result_bytes: int = 0


class JobDetail(Struct, frozen=True, kw_only=True):
    """One job. Texts above 64 KB are left out, and `whole` says whether all is there. What is sensitive is hidden."""

    row: JobRow
    data: str | None = None  #: JSON text
    result: str | None = None  #: JSON text
    progress: str | None = None  #: JSON text
    reason: str | None = None
    traces: tuple[str, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    whole: bool = True
    timeout_ms: Millis | None = None
    lifespan_ms: Millis | None = None
    scheduled_for: Millis | None = None
    options: JobOptions = NO_OPTIONS
    parent: ParentRef | None = None
    attempts_started: int = 0


class Scan(Struct, frozen=True, kw_only=True):
    """How much a search has looked at. Not `complete`: go on with `cursor`."""

    strategy: str  #: id | flow | list | scan
    examined: int
    candidates: int  #: jobs that the plan left to look at, from the beginning
    complete: bool
    unread: int = 0  #: jobs whose payload was too large to be looked into: they are not among the found
    cursor: str | None = None
    took_ms: float = 0.0


class Jobs(Struct, frozen=True, kw_only=True):
    """A stretch of jobs. `total` None: nobody has counted."""

    items: tuple[JobRow, ...]
    scan: Scan
    total: int | None = None


class FailureRow(Struct, frozen=True, kw_only=True):
    """One kind of failure of one queue."""

    queue: str
    group: FailureGroup
    recent: int = 0  #: failed jobs of it among the newest ones that were looked at
    trend: tuple[int, ...] = ()  #: those, by equal stretches of the window, oldest first


class Failures(Struct, frozen=True, kw_only=True):
    """Kinds of failures, the latest first."""

    items: tuple[FailureRow, ...]
    total: int
    window_ms: Millis
    examined: int  #: failed jobs that the trend was made from
    complete: bool  #: whether those are all of the window


class FailureDetail(Struct, frozen=True, kw_only=True):
    """One kind of failure with its newest jobs."""

    failure: FailureRow
    newest: tuple[JobRow, ...]
    examined: int
    complete: bool


class Run(Struct, frozen=True):
    """One run to come, as clocks show it in the schedule's zone and in the reader's. `mark` tells of clock changes."""

    at: Millis
    there: str
    here: str
    mark: str = ""


class ScheduleRow(Struct, frozen=True, kw_only=True):
    """One schedule."""

    queue: str
    key: str
    name: str
    when: str  #: the cron line, or "every 300 s"
    words: str  #: the same in English
    tz: str
    state: str  #: active | paused | overdue | lost | ended
    next_at: Millis | None = None
    last_at: Millis | None = None
    last_job_id: JobId | None = None
    last_state: JobState | None = None  #: how its last run ended, as far as that job is kept
    last_run_ms: Millis | None = None
    overdue_ms: Millis = 0
    missed: int = 0  #: slots that have passed since it was due, at most 100
    fired: int = 0
    limit: int | None = None
    start_at: Millis | None = None
    end_at: Millis | None = None
    overlap: str = ""
    missed_policy: str = ""
    owner: str = ""
    preview: str = ""


class Schedules(Struct, frozen=True, kw_only=True):
    """Schedules by queue and key."""

    items: tuple[ScheduleRow, ...]
    total: int
    complete: bool


class FlowRow(Struct, frozen=True, kw_only=True):
    """The top of a flow, with how far it is."""

    job: JobRow
    done: int = 0
    failed: int = 0
    pending: int = 0
    complete: bool = True  #: whether all of it was counted


class Flows(Struct, frozen=True, kw_only=True):
    """Flows that are not finished."""

    items: tuple[FlowRow, ...]
    examined: int
    complete: bool


class FlowNode(Struct, frozen=True, kw_only=True):
    """A job of a flow and what is below it. No `job`: it is gone."""

    queue: str
    id: JobId
    state: JobState | None
    job: JobRow | None = None
    reason: str | None = None
    children: tuple["FlowNode", ...] = ()
    left_out: int = 0
    repeated: bool = False


class WorkerRow(Struct, frozen=True, kw_only=True):
    """One worker process."""

    id: str
    name: str
    host: str
    pid: int
    state: str  #: busy | idle | quiet | stale
    queues: tuple[str, ...]
    slots: int
    busy: int
    started_at: Millis
    seen_at: Millis
    silent_ms: Millis
    version: str = ""
    slots_of: tuple[int, ...] = ()  #: of each of its queues; () when it does not say
    rss: int = 0  #: bytes of memory; 0 when it does not say
    lag_ms: Millis = 0  #: how late its event loop is
    cpu: float | None = None  #: share of one core that it took lately
    handlers: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()  #: what it was told to show
    jobs: tuple[JobRow, ...] = ()  #: what it runs, as far as that was looked at


class Workers(Struct, frozen=True, kw_only=True):
    """Worker processes, and jobs that run somewhere unknown: on Node's workers, or on one that is gone."""

    items: tuple[WorkerRow, ...]
    elsewhere: tuple[JobRow, ...]
    complete: bool  #: whether every running job was looked at


class Level(Struct, frozen=True, kw_only=True):
    """How queues stood in one stretch of time."""

    at: Millis
    waiting: int  #: the most
    oldest_ms: Millis  #: the longest that the oldest waiting job had waited
    busy: float  #: jobs that ran, on average
    added: int | None  #: jobs that came; None: nobody had looked for too long before
    looks: int  #: how often somebody looked


class Levels(Struct, frozen=True, kw_only=True):
    """A chart of how queues stood. Stretches in which nobody looked are left out."""

    queue: str  #: "": all that the reader sees
    step_ms: Millis
    since: Millis
    until: Millis
    points: tuple[Level, ...]
    complete: bool  #: whether every queue was asked for


class Point(Struct, frozen=True, kw_only=True):
    """One stretch of a chart."""

    at: Millis
    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait: Spread = Spread()
    run: Spread = Spread()


class Mark(Struct, frozen=True, kw_only=True):
    """A moment that somebody marked: a deployment, an incident."""

    at: Millis
    label: str = ""
    url: str = ""
    color: str = ""
    queues: tuple[str, ...] = ("*",)  #: patterns of the queues that it is about


class Series(Struct, frozen=True, kw_only=True):
    """Points of a chart; stretches in which nothing ended are left out."""

    queue: str  #: "" for all
    tier: str
    step_ms: Millis
    since: Millis
    until: Millis
    points: tuple[Point, ...]
    names: tuple[str, ...] = ()  #: job names that occur
    source: str = "series"  #: or `sample`
    complete: bool = True
    marks: tuple[Mark, ...] = ()  #: of that time, oldest first


class NameRow(Struct, frozen=True, kw_only=True):
    """What the jobs of one name cost."""

    queue: str
    name: str
    completed: int = 0
    failed: int = 0
    retried: int = 0
    failure_share: float | None = None  #: of the jobs that ended; None when none did
    total_ms: float = 0.0  #: all attempts together
    wait: Spread = Spread()
    run: Spread = Spread()


class Top(Struct, frozen=True, kw_only=True):
    """Job names, the most expensive first."""

    items: tuple[NameRow, ...]
    total: int
    since: Millis
    until: Millis
    complete: bool = True  #: whether every queue was asked


class Autoscale(Struct, frozen=True, kw_only=True):
    """How many workers a queue wants."""

    queue: str
    backlog: int
    active: int
    oldest_waiting_ms: Millis | None
    arrivals_per_second: float
    service_ms_mean: float | None  #: None: nothing ended lately, so nobody knows
    slots_per_worker: float
    workers: int
    utilization: float
    desired_workers: int
    load: float
    target_ms: Millis
