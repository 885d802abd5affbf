"""Workers: who is alive, what they do, and telling them to stop."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.forms import fields_of
from corral.dashboard.visit import Visit
from corral.http.models.links import part

#: How long a page waits for a worker's answer: orders are read with each beat.
WAIT_S, LOOK_S = 8.0, 0.5


async def workers(visit: Visit) -> Response:
    """All workers, and jobs that run elsewhere."""
    found = await visit.api.get("/workers", limit=200, cursor=visit.parameter("cursor") or None)
    return await visit.page("workers.html", title="Workers", active="workers", workers=found)


async def worker(visit: Visit) -> Response:
    """One worker with its jobs."""
    found = await visit.api.get(f"/workers/{part(visit.part('id'))}")
    return await visit.page("worker.html", title="Worker", active="workers", worker=found)


async def ask(visit: Visit) -> Response:
    """Stop a worker: what happens to its jobs."""
    found = await visit.api.get(f"/workers/{part(visit.part('id'))}")
    return await visit.page("ask/worker_stop.html", title="Stop a worker", active="workers", worker=found)


async def dump(visit: Visit) -> Response:
    """Tell a worker to say what all its threads and tasks do, and go where the answer will be."""
    await fields_of(visit.request)
    at = f"/workers/{part(visit.part('id'))}"
    order = cast(Mapping[str, object], (await visit.api.send("POST", f"{at}/dump", body={})).must())
    return visit.go(f"{at}/dumps/{part(str(order['command_id']))}")


async def dumped(visit: Visit) -> Response:
    """The stacks of all threads and tasks of a worker, as it tells them."""
    at = f"/workers/{part(visit.part('id'))}"
    found, answer = await visit.api.get(at), None
    for _ in range(round(WAIT_S / LOOK_S)):
        said = cast(Mapping[str, object], await visit.api.get(f"{at}/commands/{part(visit.part('command'))}"))
        answer = said["answer"]
        if answer is not None:
            break
        await asyncio.sleep(LOOK_S)
    return await visit.page("dump.html", title="Stacks", active="workers", worker=found, answer=answer)


PAGES = (
    ("GET", "/workers", workers),
    ("GET", "/workers/{id}", worker),
    ("GET", "/workers/{id}/ask/stop", ask),
    ("POST", "/workers/{id}/dump", dump),
    ("GET", "/workers/{id}/dumps/{command}", dumped),
)
