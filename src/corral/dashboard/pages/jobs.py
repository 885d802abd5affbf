"""Jobs: found anywhere."""

import re
from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.asking import Parameters
from corral.dashboard.visit import Visit
from corral.http.problems import Problem

MANY = 50
#: Queues that are named above what was found, and what may be a part of their names.
NAMED = 8
_WORD = re.compile(r"[^\s:\"*?\[\]]{2,100}")
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
    return await visit.page(
        "jobs.html", title="Jobs", active="jobs", jobs=found, query=query, wrong=wrong,
        named=await _named(visit, query.strip()), status=wrong.status if wrong else 200,
    )  # fmt: skip


async def _named(visit: Visit, word: str) -> object:
    """Queues of which this is a part of the name: who looks for one need not know where to look."""
    if not _WORD.fullmatch(word):
        return []
    parameters: Parameters = {"limit": NAMED, "sort": "name", "fields": "name", "match": f"*{word}*"}
    reply = await visit.api.send("GET", "/queues", parameters=parameters)
    return cast(Mapping[str, object], reply.json)["items"] if reply.status < 400 else []


PAGES = (("GET", "/jobs", search),)
