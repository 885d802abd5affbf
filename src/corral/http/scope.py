"""Scope: what of the store there is for who asks, and what they may do with it."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from fastapi import Request
from starlette.types import Scope

from corral.admin.rights import READING, Permission, Principal
from corral.admin.rights import covered as covered  # routes ask for it here
from corral.http.deps import Api
from corral.http.problems import problem
from corral.job import PENDING, JobState

#: The end of the path under which everything is.
ROOT = "/api/v1"

#: What may be done with a job in each state, and the right that it takes.
_ALWAYS = (("rerun", Permission.JOB_RETRY), ("log", Permission.JOB_EDIT))
_VERBS: dict[str, tuple[frozenset[JobState], Permission]] = {
    "retry": (frozenset({JobState.COMPLETED, JobState.FAILED}), Permission.JOB_RETRY),
    "promote": (frozenset({JobState.DELAYED}), Permission.JOB_PROMOTE),
    "cancel": (PENDING | {JobState.ACTIVE}, Permission.JOB_CANCEL),
    "edit": (PENDING, Permission.JOB_EDIT),
    "remove": (frozenset(JobState) - {JobState.ACTIVE}, Permission.JOB_REMOVE),
}
Globs: TypeAlias = tuple[str, ...]


def base_of(request: Request) -> str:
    """The path of the API as its callers see it: `/api/v1`, or longer where it is mounted."""
    return base_in(request.scope)


def help_in(scope: Scope, code: str) -> str:
    """Where it is told what a code of a problem means."""
    return f"{base_in(scope)}/problems/{code}"


def base_in(scope: Scope) -> str:
    """The same, of a request that no route has been found for."""
    path = str(scope["path"])
    root = str(scope.get("root_path", "")).rstrip("/")
    whole = path if path.startswith(root) else root + path
    end = whole.find(ROOT)
    return whole[: end + len(ROOT)] if end >= 0 else root + ROOT


def sees_all(who: Principal) -> bool:
    """Whether every queue is there for them."""
    return "*" in who.queues


def visible(who: Principal, queue: str) -> bool:
    """Whether a queue is there for them."""
    return any(fnmatchcase(queue, pattern) for pattern in who.queues)


def own(who: Principal, query: str) -> str:
    """A search, narrowed to what they may see: a producer sees their own jobs."""
    if not who.own_only:
        return query
    tag = who.owner_tag.replace("\\", "\\\\").replace('"', '\\"')
    return f'{query} tag:"{tag}"'.strip()


def rights_of(api: Api, who: Principal) -> frozenset[Permission]:
    """What they may do here, all rules together."""
    return who.permissions & READING if api.settings.read_only else who.permissions


def actions_of(state: JobState, rights: frozenset[Permission], *, scheduled: bool = False) -> tuple[str, ...]:
    """What may be done with a job in this state by who has these rights."""
    found = [verb for verb, (states, right) in _VERBS.items() if state in states and right in rights]
    if scheduled and state is JobState.DELAYED and "remove" in found:
        found.remove("remove")  # the next run of a schedule goes with the schedule
    return (*found, *(verb for verb, right in _ALWAYS if right in rights))


def concerns(mine: Sequence[str], about: Sequence[str]) -> bool:
    """Whether something about the queues of `about` is of interest to who sees those of `mine`."""
    return covered(mine, about) or covered(about, mine)


def check_visible(who: Principal, queue: str) -> None:
    """Raises: Problem: 404, the queue is not there for them."""
    if not visible(who, queue):
        problem("queue-not-found", "There is no such queue.")
