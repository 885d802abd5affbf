"""Jobs: found anywhere."""

from starlette.responses import Response

from corral.dashboard.visit import Visit
from corral.http.problems import Problem

MANY = 50
#: Why a search cannot be carried out as it was typed: told beside it.
UNREADABLE = ("invalid-query", "redacted-field", "invalid-cursor")


async def search(visit: Visit) -> Response:
    """Find jobs of all queues."""
    query, found, wrong = visit.parameter("q"), None, None
    try:
        found = await visit.api.get("/jobs", q=query, limit=MANY, cursor=visit.parameter("cursor") or None)
    except Problem as refused:
        if refused.code not in UNREADABLE:
            raise
        wrong = refused
    return await visit.page("jobs.html", title="Jobs", active="jobs", jobs=found, query=query, wrong=wrong)


PAGES = (("GET", "/jobs", search),)
