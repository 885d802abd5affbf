"""The pages: for each method and path, the function that makes it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.responses import Response

from corral.dashboard.forms import act
from corral.dashboard.pages import (
    bulk,
    failures,
    flows,
    insights,
    job,
    jobs,
    logs,
    looking,
    making,
    overview,
    queue_settings,
    queues,
    schedule_forms,
    schedules,
    session,
    workers,
)
from corral.dashboard.visit import Visit
from corral.http.problems import problem


async def nothing(visit: Visit) -> Response:
    """The page for an address that leads nowhere."""
    return problem("not-found", "No page has this address.")


Page: TypeAlias = Callable[[Visit], Awaitable[Response]]

#: In the order in which they are matched.
PAGES: tuple[tuple[str, str, Page], ...] = (
    *session.PAGES,
    *overview.PAGES,
    *queues.PAGES,
    *queue_settings.PAGES,
    *bulk.PAGES,
    *jobs.PAGES,
    *job.PAGES,
    *logs.PAGES,
    *making.PAGES,
    *failures.PAGES,
    *schedule_forms.PAGES,
    *schedules.PAGES,
    *flows.PAGES,
    *workers.PAGES,
    *insights.PAGES,
    *looking.PAGES,
    ("POST", "/do/{path:path}", act),
    ("GET", "/{path:path}", nothing),
)
