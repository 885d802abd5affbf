"""What the write model answers with: frozen, plain, ready for JSON. Instants and lengths of time are milliseconds."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct

from corral.job import JobId
from corral.timing import Millis


class Actor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks for a change, and by which way."""

    sub: str
    method: str = "local"  #: how they were recognised: local | jwt | token | session | proxy | code
    role: str = "admin"
    ip: str = ""
    via: str = "code"  #: api | ui | cli | code
    request_id: str = ""


class Preview(Struct, frozen=True, kw_only=True):
    """What a bulk operation would act on now. Not `exact`: there are at least so many."""

    count: int
    exact: bool = True
    sample: tuple[tuple[str, JobId], ...] = ()  #: (queue, id) of the first ten


class Cleaned(Struct, frozen=True, kw_only=True):
    """Jobs that were removed, or would be. Not `exact`: there are at least so many. `sample`: ids, at most ten."""

    count: int
    sample: tuple[JobId, ...] = ()
    exact: bool = True


class JobProblem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an operation did nothing to a job. `code` is a problem of the HTTP API: `job-not-found` …"""

    queue: str
    id: JobId
    code: str


#: The operations that change no job: a search too long for one request, and making the index of tags and traces.
SEARCH, INDEX = "search", "index"
#: Those that delete what is in one queue, slice by slice, without choosing jobs first.
DRAIN, CLEAN, OBLITERATE = "drain", "clean", "obliterate"
EMPTYING = frozenset({DRAIN, CLEAN, OBLITERATE})


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change to many jobs, or a search for them, carried out in the background.

    `failed` jobs could not be acted on (`errors` names the first hundred), `skipped` ones changed after they had been
    chosen and are left alone.
    """

    id: str
    action: str  #: retry | promote | cancel | remove | edit_priority | search | index | drain | clean | obliterate
    state: str  #: pending | collecting | running | done | aborted | failed
    query: str | None = None  #: with what is sensitive hidden; None: the jobs were named one by one
    queues: tuple[str, ...] = ("*",)  #: patterns of the queues that it goes over
    total: int | None = None  #: None: they are not counted yet
    done: int = 0  #: of an index: queues that are through, of `total`
    failed: int = 0
    skipped: int = 0
    unread: int = 0  #: payloads too large to be searched: those jobs were not chosen
    examined: int = 0  #: jobs that the search has looked at …
    candidates: int | None = None  #: … of about so many
    capped: bool = False  #: it found as many as it may and looked no further
    errors: tuple[JobProblem, ...] = ()
    by: str = ""
    reason: str = ""
    created_at: Millis = 0
    started_at: Millis | None = None
    finished_at: Millis | None = None
    eta_ms: Millis | None = None  #: until it is through, at this rate
    problem: str = ""  #: why it failed as a whole: `selection-changed` …
    aborting: bool = False  #: somebody wants it to stop

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "aborted", "failed")


class Results(Struct, frozen=True, kw_only=True):
    """Jobs that a search in the background has found, newest first in each state; a stretch of them."""

    refs: tuple[tuple[str, JobId], ...]  #: (queue, id); some may be gone by now
    total: int  #: so many have been found so far
    complete: bool  #: whether the search has ended by itself, and missed none
    expired: bool = False  #: they are not kept any longer
    reveal: bool = False  #: whoever searched might see what is sensitive, and may have searched by it


class Token(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of an API token: everything but the token itself."""

    id: str
    name: str
    role: str
    queues: tuple[str, ...] = ("*",)
    created_at: Millis = 0
    created_by: str = ""
    expires_at: Millis | None = None
    used_at: Millis | None = None  #: the last time, to about a minute
    parent: str = ""  #: the token by which it was made: it ends with that one


class Mark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mark on the charts: a deployment, an incident."""

    id: str
    label: str
    at: Millis
    url: str = ""
    color: str = ""
    by: str = ""
    queues: tuple[str, ...] = ("*",)  #: patterns of the queues that it is about


class Mute(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A kind of failure, or something that wants attention, that nobody wants to hear of for a while."""

    kind: str  #: failure | finding
    id: str
    until: Millis
    by: str = ""
    reason: str = ""
    at: Millis = 0
    queues: tuple[str, ...] = ("*",)  #: patterns of the queues for which it holds

    def holds_for(self, queue: str) -> bool:
        """Whether it holds for a queue; "": for what is about all of them."""
        return "*" in self.queues or (queue != "" and any(fnmatchcase(queue, one) for one in self.queues))


class Silence(Struct, frozen=True):
    """What nobody wants to hear of."""

    mutes: tuple[Mute, ...] = ()

    def until(self, id: str, queue: str) -> Millis | None:
        """Until when a kind of failure or a finding is muted in a queue; None: it is not."""
        return max((one.until for one in self.mutes if one.id == id and one.holds_for(queue)), default=None)


class AuditEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that somebody did, or tried to do."""

    id: str
    at: Millis
    actor: Actor
    action: str  #: `queue.pause`, `job.retry` …
    target: Mapping[str, str] = {}  #: queue, job, schedule, worker, token, operation, mark …
    ids: tuple[JobId, ...] = ()  #: jobs that were touched, the first twenty
    count: int | None = None
    query: str | None = None  #: with what is sensitive hidden
    reason: str = ""
    outcome: str = "ok"  #: ok | refused | failed
    problem: str = ""  #: why it was refused or failed: a problem of the HTTP API
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


class AuditPage(Struct, frozen=True, kw_only=True):
    """Audit entries, newest first. `next`: the `before` of the following page; None: that was all."""

    items: tuple[AuditEntry, ...]
    next: str | None = None
    examined: int = 0
