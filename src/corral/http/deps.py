"""What routes need: the application's parts, who asks, and the rule that says who may.

Each route has exactly one rule, `dependencies=[allow(Permission.JOB_READ)]` or `[public()]`; one without is refused
when the API is put together. The rule is enforced before the body is read.
"""

from typing import cast
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from corral.admin.admin import Desk
from corral.admin.objects import Actor
from corral.admin.rights import Permission, Principal
from corral.http.guard import (
    CALLER,
    PAGE,
    REQUEST_ID,
    Rule,
    address_of,
    admit,
    check,
    home_of,
    permitted,
    spend,
    spend_one,
)
from corral.http.home import Api
from corral.http.limits import Rate
from corral.http.problems import problem

__all__ = [
    "Api",
    "Rate",
    "allow",
    "api",
    "caller",
    "desk",
    "desk_for",
    "known",
    "need",
    "principal",
    "problem",
    "public",
    "reveal",
    "spend",
    "spend_one",
]

#: The longest reason that is kept.
REASON = 1_000


async def api(request: Request) -> Api:
    """The API's parts, with its store open. Raises: StorageUnavailableError (503)."""
    return await home_of(request).open()


async def principal(request: Request) -> Principal:
    """Who asks. Raises: Problem (401)."""
    if CALLER not in request.scope:
        await admit(request, Rule(None, recognise=True))
    return cast(Principal, request.scope[CALLER])


def caller(request: Request) -> Principal:
    """Who asks, of a route whose rule has looked at them already."""
    return cast(Principal, request.scope[CALLER])


def allow(
    permission: Permission, *, queue: str | None = "q", rate: Rate | None = None, long: bool = False,
    slow: bool = False, waits: bool = False, ticket: bool = False, exempt: bool = False,
) -> Dependency:  # fmt: skip
    """The route's rule: only who has this permission, in the queue that the path parameter `queue` names.

    Args:
        rate: which rate it counts in; by itself reads, adding and all other writes have one each.
        long: whether it may take as long as it takes, because it streams.
        slow: whether a reading may take as long as a change: it goes over everything.
        waits: whether it may wait for the end of a job, for a minute at most, beside what the store takes.
        ticket: whether `?ticket=` will do instead of a token.
        exempt: whether it is neither counted nor logged, because a machine asks every few seconds.
    """
    rule = Rule(permission, queue=queue, rate=rate, long=long, slow=slow, waits=waits, ticket=ticket, exempt=exempt)
    return cast(Dependency, Depends(rule))


def known() -> Dependency:
    """The rule of a route that everybody may call who is known at all."""
    return cast(Dependency, Depends(Rule(None, recognise=True, rate=Rate.READ)))


def public(*, rate: Rate | None = Rate.READ) -> Dependency:
    """The rule of a route that everybody may call; `rate=None` is neither counted nor logged."""
    return cast(Dependency, Depends(Rule(None, rate=rate, exempt=rate is None)))


async def need(request: Request, permission: Permission, queue: str | None = None) -> None:
    """Check a further permission, which only the body told. Raises: Problem (403, or 404 outside of their queues)."""
    await check(request, await principal(request), permission, queue)


async def desk(request: Request) -> Desk:
    """The write model in the name of who asks, with the reason that `Corral-Reason` gives. Raises: Problem (422)."""
    return await desk_for(request)


async def desk_for(request: Request, reason: str = "", *, changes: bool = True) -> Desk:
    """The same with the reason that the body gives; the header's goes before it.

    Args:
        changes: whether it is to change anything: looking what it would change needs no reason.

    Raises:
        Problem: 422, it is not said why.
    """
    home = await api(request)
    who = await principal(request)
    reason = _header(request) or _clean(reason)
    changes = changes and request.method not in ("GET", "HEAD")
    if not reason and changes and home.settings.require_reason:
        problem("reason-required", "Say why in the header Corral-Reason: it goes into the audit log.")
    actor = Actor(
        sub=who.sub,
        method=who.method,
        role=who.role,
        ip=address_of(request),
        via="ui" if who.method == "session" or PAGE in request.scope else "api",
        request_id=str(request.scope.get(REQUEST_ID, "")),
    )
    return home.admin.by(actor, reason)


async def reveal(request: Request) -> bool:
    """Whether who asks may see what is sensitive, in the path's queue if there is one."""
    return await permitted(
        home_of(request), await principal(request), Permission.PAYLOAD_READ, request.path_params.get("q")
    )


def _header(request: Request) -> str:
    """Header values are Latin-1 by themselves; people write UTF-8, or percent-encode what is beyond ASCII."""
    given = request.headers.get("corral-reason", "")
    try:
        given = given.encode("latin-1").decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        given = given.encode("ascii", "replace").decode()
    return _clean(unquote(given) if "%" in given else given)


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()[:REASON]
