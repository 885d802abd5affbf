"""The guard: whether a request may pass. Who asks, from where, what for, how often; all before its body is read."""

import math
from inspect import isawaitable
from ipaddress import IPv6Address, ip_address
from typing import cast

from starlette.requests import HTTPConnection, Request

from corral.admin.rights import READING, Permission, Principal, may
from corral.http.auth.csrf import check_site
from corral.http.home import Api
from corral.http.limits import Rate, Verdict, headers, site_of, take_by_network
from corral.http.problems import Problem, problem
from corral.http.tickets import Ticket, redeem

#: Where the parts of a request's life are kept in its scope.
HOME, CALLER, REQUEST_ID, RATE, RULE, ROUTE, TICKET, PAGE = (
    "corral.api", "corral.caller", "corral.request-id", "corral.rate", "corral.rule", "corral.route", "corral.ticket",
    "corral.page",
)  # fmt: skip
SAFE = ("GET", "HEAD", "OPTIONS")


class Page:
    """In the scope of what a page of the dashboard asks: its answers are one reading together."""

    def __init__(self) -> None:
        self.counted = False


class Rule:
    """Who may call a route. As a dependency it gives the caller; the guard has looked at them by then."""

    def __init__(
        self, permission: Permission | None, *, queue: str | None = None, rate: Rate | None = None,
        long: bool = False, slow: bool = False, waits: bool = False, recognise: bool = False, ticket: bool = False,
        exempt: bool = False,
    ) -> None:  # fmt: skip
        self.permission = permission
        self.queue = queue
        self.rate = rate
        self.long = long  #: it streams, and hence takes as long as it takes
        self.slow = slow  #: a reading that may take as long as a change
        self.waits = waits  #: it may wait for the end of a job
        self.ticket = ticket  #: whether `?ticket=` says who it is
        self.exempt = exempt  #: asked for every few seconds by machines: neither counted nor logged
        self.recognise = recognise or permission is not None  #: whether somebody must be known

    def __repr__(self) -> str:
        return f"<{self.permission or ('anybody known' if self.recognise else 'public')}>"

    async def __call__(self, request: Request) -> None:
        if RULE not in request.scope:  # on a route of somebody else's making
            await admit(request, self)

    def kind(self, method: str) -> Rate | None:
        """Which rate a request counts in."""
        if self.exempt:
            return None
        if self.rate is not None or not self.recognise:
            return self.rate
        if self.permission is Permission.JOB_ADD:
            return Rate.ENQUEUE
        return Rate.READ if method in SAFE else Rate.WRITE


def home_of(request: HTTPConnection) -> Api:
    """The API that the request came to."""
    return cast(Api, request.scope[HOME])


def address_of(request: HTTPConnection) -> str:
    """Where the request came from; "" when the server does not say (a Unix socket)."""
    return request.client.host if request.client is not None else ""


async def admit(request: Request, rule: Rule) -> None:
    """Let the request pass, or not. Raises: Problem (401, 403, 404, 429)."""
    home = home_of(request)
    request.scope[RULE] = rule
    kind = rule.kind(request.method)
    who: Principal | None = None
    if rule.recognise:
        who = await _by_ticket(home, request) if rule.ticket and "ticket" in request.query_params else None
        who = who or await _recognised(home, request)
        request.scope[CALLER] = who
    elif kind is not None:
        _count(home, request, kind, None)
    if who is None:
        return
    if kind is not None:
        _count(home, request, kind, who)
    if request.method not in SAFE:
        check_site(request, who.method, home.settings.allowed_origins)
    if rule.permission is not None:
        queue = None if rule.queue is None else request.path_params.get(rule.queue)
        await check(request, who, rule.permission, queue)
        if rule.permission is Permission.JOB_ADD and queue is not None:
            _count_queue(home, who, queue, 1)


async def _recognised(home: Api, request: Request) -> Principal:
    # A password for HTTP Basic may be guessed, a token may not.
    network = network_of(address_of(request))
    guess = ("basic", site_of(network) or network) if _scheme(request) == "basic" else None
    if guess is not None and (wait := home.login.lockout.wait(guess)):
        problem("rate-limited", "Too many wrong passwords.", headers={"Retry-After": str(math.ceil(wait))})
    try:
        who = await home.recogniser.recognise(request)
        if guess is not None:
            home.login.lockout.passed(guess)
        return who
    except Problem as found:
        if found.status == 401 and guess is not None:
            home.login.lockout.failed(guess)
        # Whoever is not known is counted by address: guessing is bounded, and a flood of it costs nobody else.
        if found.status == 401:
            if home.metrics is not None:
                home.metrics.denied(_scheme(request))
            _count(home, request, Rate.READ, None)
        raise


def _scheme(request: Request) -> str:
    """How somebody tried to be recognised, in one of few words: it becomes a metric's label."""
    said = request.headers.get("authorization", "none").partition(" ")[0].lower()
    return said if said in ("none", "bearer", "basic") else "other"


async def _by_ticket(home: Api, request: Request) -> Principal:
    """Who asks with a ticket, which is used up by that. Raises: Problem (401)."""
    found: Ticket | None = await redeem((await home.open()).storage, request.query_params["ticket"])
    if found is None:
        _count(home, request, Rate.READ, None)
        problem("token-invalid", "This ticket was used, or is older than a minute.")
    request.scope[TICKET] = found
    return found.who


async def check(request: HTTPConnection, who: Principal, permission: Permission, queue: str | None = None) -> None:
    """Whether somebody may do something. Raises: Problem (403; 404 for a queue that is not there for them)."""
    home = home_of(request)
    if queue is not None and not who.sees(queue):
        problem("queue-not-found", f"Queue {queue!r} is not registered.")
    if home.settings.read_only and permission not in READING:
        problem("read-only", "This API only reads; it was started so.", permission=str(permission))
    if not await permitted(home, who, permission, queue):
        problem("forbidden", f"You need the permission {permission}.", permission=str(permission))


async def permitted(home: Api, who: Principal, permission: Permission, queue: str | None = None) -> bool:
    """Whether somebody has a permission, by the host application's word where it has one."""
    if home.authorize is None:
        return may(who, permission, queue)
    answer = home.authorize(who, permission, queue)
    return bool(await answer if isawaitable(answer) else answer)


# -- how often -----------------------------------------------------------------------------------------------------


def _count(home: Api, request: HTTPConnection, kind: Rate, who: Principal | None, cost: int = 1) -> None:
    if not home.settings.rate_limits:
        return
    page: Page | None = request.scope.get(PAGE) if kind is Rate.READ else None
    if page is not None and page.counted:
        return
    pace = home.settings.pace(kind)
    if who is None:
        verdict = take_by_network(home.limiter, (kind, "ip"), network_of(address_of(request)), pace, cost)
    else:
        verdict = home.limiter.take((kind, *who.identity), pace, cost)
    request.scope[RATE] = headers(kind, pace, verdict)
    if not verdict.allowed:
        if home.metrics is not None:
            home.metrics.limited(str(kind))
        refuse(verdict, str(kind), pace.count, pace.seconds)
    if page is not None:
        page.counted = True


def _count_queue(home: Api, who: Principal, queue: str, cost: int) -> None:
    for pattern, pace in home.queue_paces(queue):
        verdict = home.limiter.take(("queue", pattern, queue, *who.identity), pace, cost)
        if not verdict.allowed:
            refuse(verdict, f"enqueue:{pattern}", pace.count, pace.seconds)


async def spend(request: Request, count: int, queue: str | None = None) -> None:
    """Count `count` more in the rate of adding: an array of jobs is as many requests. Raises: Problem (429)."""
    home, who = home_of(request), cast(Principal, request.scope[CALLER])
    if count < 1:
        return
    _count(home, request, Rate.ENQUEUE, who, count)
    name = queue or request.path_params.get("q")
    if name is not None:
        _count_queue(home, who, name, count)


def spend_one(request: Request, kind: Rate) -> None:
    """Count a request in another rate too, when its body made it a dearer one. Raises: Problem (429)."""
    _count(home_of(request), request, kind, cast(Principal, request.scope[CALLER]))


def refuse(verdict: Verdict, policy: str, count: int, seconds: int) -> None:
    """End the request: too many. Raises: Problem (429)."""
    wait = max(1, round(verdict.retry_after + 0.5))
    problem(
        "rate-limited", f"More than {count} in {seconds} s; try again in {wait} s.", headers={"Retry-After": str(wait)},
        retry_after_seconds=round(verdict.retry_after, 3), policy=policy,
    )  # fmt: skip


def network_of(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the /64 that an IPv6 subscriber has for himself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
