"""What happens, while it happens: server-sent events, and tickets for clients that cannot send headers."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import Field

from corral.admin.rights import Permission, Principal
from corral.errors import CorralError, QueueNotFoundError
from corral.http.deps import Api, Rate, allow, api, caller
from corral.http.guard import TICKET, permitted
from corral.http.live.feed import Feed
from corral.http.live.stream import Stream, marks_of
from corral.http.live.topics import MOST, topics_of
from corral.http.models.base import Body, Time, moment
from corral.http.problems import Problem
from corral.http.tickets import LIFE_MS, issue
from corral.timing import Millis

router = APIRouter(tags=["live"])

#: How long a stream by ticket lasts; then its client asks for another ticket.
BY_TICKET_MS: Millis = 600_000


class Wanted(Body):
    """What a stream is to tell of."""

    topics: Annotated[list[str], Field(min_length=1, max_length=MOST, examples=[["counts", "queue:mail"]])]


@dataclass(frozen=True)
class Issued:
    """A ticket for one stream."""

    ticket: str
    expires_at: Time


@router.get(
    "/events",
    dependencies=[allow(Permission.EVENTS_READ, queue=None, rate=Rate.STREAM, long=True, ticket=True)],
    operation_id="follow_events",
    summary="Follow what happens",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The stream"}},
)
async def follow(
    request: Request,
    topics: Annotated[str, Query(max_length=8_000, examples=["counts,queue:mail,job:mail/123"])] = "counts",
    last_event_id: Annotated[str, Header(max_length=8_000)] = "",
    ticket: Annotated[str, Query(max_length=100, description="In place of an Authorization header")] = "",
) -> Response:
    """Server-sent events about `topics`, until the client leaves.

    `counts rates workers schedules attention operations queue:NAME job:QUEUE/ID operation:ID`, separated by commas. A
    client that comes back with `Last-Event-ID` is told what it has missed of queues and jobs; when that is not kept any
    more, `hello` says `resume: false`, and it must fetch anew.
    """
    home = await api(request)
    who = caller(request)
    wanted = topics_of(request.scope[TICKET].topics if TICKET in request.scope else topics)
    for queue in sorted(wanted.followed()):
        if not who.sees(queue):
            raise QueueNotFoundError(queue, ())
    stream = Stream(wanted, who.sees, sees_operations=who.queues == ("*",))
    return Feed(
        home.hub, stream, marks_of(last_event_id), closing=home.closing, seats=home.seats,
        who=":".join(who.identity), still=partial(_may_still, request, home, who, home.monitor.at()),
    )  # fmt: skip


async def _may_still(request: Request, home: Api, who: Principal, began: Millis) -> bool:
    """Whether what the caller showed still lets them in, with the same queues. While nobody can say, it does."""
    if TICKET in request.scope:  # it is used up, and what it was given for may be revoked: its stream is a short one
        return home.monitor.at() < min(began + BY_TICKET_MS, who.expires_at or began + BY_TICKET_MS)
    try:
        now = await home.recogniser.recognise(request)
    except Problem as problem:
        return problem.status != 401
    except CorralError:
        return True
    return now.queues == who.queues and await permitted(home, now, Permission.EVENTS_READ)


@router.post(
    "/events/tickets",
    dependencies=[allow(Permission.EVENTS_READ, queue=None)],
    operation_id="issue_ticket",
    summary="A ticket for one stream",
    status_code=201,
)
async def ticket(request: Request, wanted: Wanted) -> Issued:
    """A ticket that opens one stream within a minute, for clients that cannot send headers (`EventSource`)."""
    home = await api(request)
    clear = await issue(home.storage, caller(request), ",".join(wanted.topics))
    return Issued(ticket=clear, expires_at=moment(home.monitor.at() + LIFE_MS))
