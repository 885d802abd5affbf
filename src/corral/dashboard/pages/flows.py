"""Flows: families of jobs, and where they are stuck."""

from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.graph import graph
from corral.dashboard.visit import Visit
from corral.http.models.links import part

STATES = ("open", "finished")


async def flows(visit: Visit) -> Response:
    """Flows that are not finished, or those that finished last."""
    state = visit.parameter("state")
    state = state if state in STATES else STATES[0]
    found = await visit.api.get("/flows", limit=50, state=state, cursor=visit.parameter("cursor") or None)
    return await visit.page("flows.html", title="Flows", active="flows", flows=found, state=state)


async def flow(visit: Visit) -> Response:
    """One flow, as a tree and as a graph."""
    queue, id = visit.part("q"), visit.part("id")
    found = cast(Mapping[str, object], await visit.api.get(f"/flows/{part(queue)}/{part(id)}"))
    return await visit.page(
        "flow.html", title=f"Flow {found['name'] or id}", active="flows", flow=found, graph=graph(found, visit.root),
        stuck=_first_failed(found),
    )  # fmt: skip


def _first_failed(node: Mapping[str, object]) -> Mapping[str, object] | None:
    """The deepest failed job that is met first: most often what made the others fail."""
    for child in cast("list[Mapping[str, object]]", node["children"]):
        found = _first_failed(child)
        if found is not None:
            return found
    return node if node["state"] == "failed" else None


PAGES = (("GET", "/flows", flows), ("GET", "/flows/{q}/{id}", flow))
