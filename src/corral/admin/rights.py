"""Rights: who may do what, in which queues. Pure data and two questions; whoever takes requests asks them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from types import MappingProxyType

from msgspec import Struct

from corral.errors import ConfigError, closest


class Permission(StrEnum):
    """One thing that somebody may be allowed to do. The words are part of the HTTP API."""

    QUEUE_READ = "queue:read"
    JOB_READ = "job:read"
    SCHEDULE_READ = "schedule:read"
    WORKER_READ = "worker:read"
    METRICS_READ = "metrics:read"
    EVENTS_READ = "events:read"

    JOB_ADD = "job:add"

    JOB_RETRY = "job:retry"  #: run finished jobs again: retry, rerun
    JOB_PROMOTE = "job:promote"
    JOB_CANCEL = "job:cancel"
    JOB_EDIT = "job:edit"  #: change payload, priority or time; write an operator's note
    SCHEDULE_RUN = "schedule:run"  #: run now, pause, resume, repair
    QUEUE_PAUSE = "queue:pause"  #: pause, resume, end a rate limit's window
    OPERATION_ABORT = "operation:abort"
    MARK_WRITE = "mark:write"  #: marks on charts; muting what wants attention

    PAYLOAD_READ = "payload:read"  #: see what is sensitive

    JOB_REMOVE = "job:remove"
    QUEUE_DRAIN = "queue:drain"
    QUEUE_CLEAN = "queue:clean"
    QUEUE_OBLITERATE = "queue:obliterate"
    QUEUE_SETTINGS = "queue:settings"
    SCHEDULE_WRITE = "schedule:write"
    WORKER_CONTROL = "worker:control"

    AUDIT_READ = "audit:read"
    TOKEN_WRITE = "token:write"  # noqa: S105  # a permission's name
    SYSTEM_READ = "system:read"


_READS = frozenset(
    {
        Permission.QUEUE_READ,
        Permission.JOB_READ,
        Permission.SCHEDULE_READ,
        Permission.WORKER_READ,
        Permission.METRICS_READ,
        Permission.EVENTS_READ,
    }
)
_OPERATES = _READS | {
    Permission.JOB_ADD,
    Permission.JOB_RETRY,
    Permission.JOB_PROMOTE,
    Permission.JOB_CANCEL,
    Permission.JOB_EDIT,
    Permission.SCHEDULE_RUN,
    Permission.QUEUE_PAUSE,
    Permission.OPERATION_ABORT,
    Permission.MARK_WRITE,
}

#: All that only looks: what is left to everybody where nothing may be changed.
READING: frozenset[Permission] = _READS | {Permission.PAYLOAD_READ, Permission.AUDIT_READ, Permission.SYSTEM_READ}

#: What each role may do. A producer sees the jobs it has added (`Principal.own_only`), a scraper nothing but figures.
ROLES: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "viewer": _READS,
        "operator": _OPERATES,
        "admin": frozenset(Permission),
        "producer": frozenset({Permission.JOB_ADD, Permission.JOB_READ}),
        "scraper": frozenset({Permission.METRICS_READ}),
    }
)
#: How the tag begins that says whose job it is, and the longest tag there is.
OWNER, TAG = "owner:", 100
#: From the least to the most.
_ORDER = ("scraper", "producer", "viewer", "operator", "admin")


def check_role(word: object) -> str:
    """A role by its name, in whatever case. Raises: ConfigError, naming the roles there are."""
    name = word.strip().lower() if isinstance(word, str) else ""
    if name not in ROLES:
        near = closest(name, ROLES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"role must be one of {', '.join(ROLES)}, not {word!r}{hint}", key="role")
    return name


def check_globs(queues: Sequence[str]) -> tuple[str, ...]:
    """Patterns of queues (`mail`, `mail*`); none at all would be a right to nothing. Raises: ConfigError."""
    if isinstance(queues, str) or not queues or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in queues):
        raise ConfigError(f"queues must be patterns such as ['mail*'], not {queues!r}", key="queues")
    if len(queues) > 100:
        raise ConfigError(f"queues must be at most 100 patterns, not {len(queues)}", key="queues")
    return tuple(dict.fromkeys(queues))


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody who has been recognised."""

    sub: str
    roles: tuple[str, ...] = ()
    queues: tuple[str, ...] = ("*",)  #: patterns of the queues that there are for them
    method: str = ""  #: how they were recognised: jwt | token | session | proxy | basic | local …
    owner: str = ""  #: whose jobs a producer sees; "" is their own `sub`
    expires_at: int | None = None  #: epoch milliseconds: when what they showed runs out
    id: str = ""  #: of the token that they showed, if it is one of the store: two may have one name
    via: str = ""  #: what a session began with, if not by a name: a token may be called what somebody is called

    @property
    def identity(self) -> tuple[str, str]:
        """What tells them from others: how they were recognised, and as whom."""
        return f"{self.method}:{self.via}" if self.via else self.method, self.id or self.sub

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that their roles allow. A role that nobody knows allows nothing."""
        return frozenset().union(*(ROLES.get(role, frozenset()) for role in self.roles))

    @property
    def role(self) -> str:
        """The most powerful of their roles; "" when they have none."""
        return max((role for role in self.roles if role in _ORDER), key=_ORDER.index, default="")

    @property
    def own_only(self) -> bool:
        """Whether they see no other jobs than those they have added themselves."""
        return Permission.JOB_READ in self.permissions and Permission.QUEUE_READ not in self.permissions

    @property
    def owner_tag(self) -> str:
        """The tag that their jobs carry, so that they are known again."""
        whose = self.owner or self.sub
        if len(whose) > TAG - len(OWNER):  # two long names may begin alike
            whose = sha256(whose.encode("utf-8", "replace")).hexdigest()
        return f"{OWNER}{whose}"

    def owns(self, tags: Sequence[str]) -> bool:
        """Whether a job with these tags is one that they may see."""
        return not self.own_only or self.owner_tag in tags

    def sees(self, queue: str) -> bool:
        """Whether a queue is there for them; what is not is answered as if it did not exist."""
        return any(fnmatchcase(queue, pattern) for pattern in self.queues)


def may(principal: Principal, permission: Permission, queue: str | None = None) -> bool:
    """Whether somebody may do something, in that queue if it is about one."""
    return permission in principal.permissions and (queue is None or principal.sees(queue))


def covered(mine: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether each of these patterns fits only what one of mine fits, as far as that is certain."""
    return "*" in mine or all(
        one in mine
        or (not set("*?[") & set(one) and any(fnmatchcase(one, pattern) for pattern in mine))
        or any(pattern.endswith("*") and not set("*?[") & set(pattern[:-1]) and one.startswith(pattern[:-1])
               for pattern in mine)
        for one in wanted
    )  # fmt: skip
