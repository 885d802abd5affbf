"""What the route modules share: documented problems, the parts of a request, reading with rights."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, Request

from corral.admin.admin import Desk
from corral.admin.rights import Permission, Principal
from corral.http.deps import Api, api, desk_for, need, principal, reveal
from corral.http.models.job_views import Sees
from corral.http.models.options import JobOpts
from corral.http.problems import CATALOGUE, MEDIA_TYPE, problem
from corral.http.scope import base_of, own, rights_of, sees_all, visible


class Router(APIRouter):
    """A router whose routes are described by the first sentence of their functions' docstrings."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:  # noqa: ANN401  # as above it
        text = inspect.cleandoc(endpoint.__doc__ or "")
        summary, _, rest = text.partition("\n\n")
        given["summary"] = " ".join(summary.split()).removesuffix(".")
        given["description"] = rest or text
        super().add_api_route(path, endpoint, **given)


_SCHEMA = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ApiProblem"}}}


def told(*codes: str) -> dict[int | str, dict[str, object]]:
    """The problems of a route for its documentation; those that every route may have come by themselves."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CATALOGUE[code][0], []).append(code)
    found: dict[int | str, dict[str, object]] = {
        status: {"description": ", ".join(f"`{code}`" for code in some), "content": _SCHEMA}
        for status, some in sorted(by_status.items())
    }
    found["default"] = {"description": "A problem; decide by its `code`.", "content": _SCHEMA}
    return found


@dataclass(frozen=True)
class Caller:
    """A request, who sent it, and what it is about."""

    request: Request
    api: Api
    who: Principal

    @property
    def base(self) -> str:
        """The path of the API as its callers see it."""
        return base_of(self.request)

    @property
    def rights(self) -> frozenset[Permission]:
        """What they may do."""
        return rights_of(self.api, self.who)

    @property
    def sees(self) -> Sees:
        """Which queues there are for them."""
        return lambda queue: visible(self.who, queue)

    @property
    def globs(self) -> tuple[str, ...]:
        """The same as patterns."""
        return self.who.queues

    @property
    def sees_all(self) -> bool:
        """Whether every queue is there for them."""
        return sees_all(self.who)

    @property
    def owner(self) -> str | None:
        """The tag of the jobs that they may see; None: all."""
        return self.who.owner_tag if self.who.own_only else None

    def own(self, query: str) -> str:
        """A search, narrowed to what they may see."""
        return own(self.who, query)

    async def reveal(self, wanted: bool = True) -> bool:
        """Whether they may see what is sensitive, and want to."""
        return wanted and await reveal(self.request)

    async def desk(self, reason: str = "", *, changes: bool = True) -> Desk:
        """The write model in their name; `changes=False` is for a look at what it would do."""
        return await desk_for(self.request, reason, changes=changes)

    async def check_named(self, opts: JobOpts | None) -> None:
        """Whether they may reach what a job's options name: a dead letter is a job added there.

        Raises:
            Problem: 404, a queue or job is not there for them; 403, they may not add jobs there.
        """
        if opts is None:
            return
        if opts.dead_letter is not None:
            await need(self.request, Permission.JOB_ADD, opts.dead_letter)
        for queue in dict.fromkeys(one.queue for one in opts.after):
            await need(self.request, Permission.JOB_READ, queue)
        for one in opts.after if self.who.own_only else ():
            [job] = await self.api.monitor.states(one.queue, [one.id])
            self.check_own(() if job is None else job.options.tags, one.queue, one.id)

    def check_own(self, tags: tuple[str, ...] | list[str], queue: str, job_id: str) -> None:
        """Raises: Problem: 404, the job is another producer's."""
        if not self.who.owns(tags):
            problem("job-not-found", f"Job {job_id!r} is not in queue {queue!r}.", queue=queue, job_id=job_id)


async def _caller(
    request: Request, found: Annotated[Api, Depends(api)], who: Annotated[Principal, Depends(principal)]
) -> Caller:
    return Caller(request, found, who)


Called: TypeAlias = Annotated[Caller, Depends(_caller)]


_KINDS: WeakKeyDictionary[Api, str] = WeakKeyDictionary()


async def engine_of(found: Api) -> str:
    """The kind of store, in a word. It is asked once."""
    kind = _KINDS.get(found)
    if kind is None:
        kind = _KINDS[found] = (await found.storage.engine()).kind
    return kind
