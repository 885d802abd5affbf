"""Workers: who is alive, what they do, and telling them to stop."""

from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.forms import fields_of
from corral.dashboard.visit import Visit
from corral.http.models.links import part

#: Workers on one page of the list.
LISTED = 200


async def workers(visit: Visit) -> Response:
    """All workers, or those of one queue or host, and jobs that run elsewhere."""
    queue, host = visit.parameter("queue"), visit.parameter("host")
    found = await visit.api.get(
        "/workers", limit=LISTED, cursor=visit.parameter("cursor") or None, queue=queue or None, host=host or None,
        include="nodes",
    )  # fmt: skip
    return await visit.page("workers.html", title="Workers", active="workers", workers=found, queue=queue, host=host)


async def worker(visit: Visit) -> Response:
    """One worker with its jobs."""
    found = await visit.api.get(f"/workers/{part(visit.part('id'))}")
    return await visit.page("worker.html", title="Worker", active="workers", worker=found)


async def ask(visit: Visit) -> Response:
    """Stop a worker: what happens to its jobs."""
    found = await visit.api.get(f"/workers/{part(visit.part('id'))}")
    return await visit.page("ask/worker_stop.html", title="Stop a worker", active="workers", worker=found)


async def dump(visit: Visit) -> Response:
    """Ask a worker for the stacks of all its threads and tasks; the answer has a page of its own."""
    await fields_of(visit.request)
    at = f"/workers/{part(visit.part('id'))}"
    order = cast(Mapping[str, object], (await visit.api.send("POST", f"{at}/dump", body={})).must())
    return visit.go(f"{at}/dumps/{part(str(order['command_id']))}")


async def dumped(visit: Visit) -> Response:
    """What the worker has answered, once it has: it reads its orders with each beat."""
    at = f"/workers/{part(visit.part('id'))}"
    said = cast(Mapping[str, object], await visit.api.get(f"{at}/commands/{part(visit.part('command'))}"))
    found = await visit.api.send("GET", at)  # it may be gone since
    name = cast(Mapping[str, object], found.json)["name"] if found.status < 400 else visit.part("id")
    return await visit.page("dump.html", title="Stacks", active="workers", name=name, answer=said["answer"])


PAGES = (
    ("GET", "/workers", workers),
    ("GET", "/workers/{id}", worker),
    ("GET", "/workers/{id}/ask/stop", ask),
    ("POST", "/workers/{id}/dump", dump),
    ("GET", "/workers/{id}/dumps/{command}", dumped),
)
