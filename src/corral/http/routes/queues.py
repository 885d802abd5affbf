"""Queues: what there is of them, their settings, and what is done to all jobs of one."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import UNSET
from starlette.responses import Response

from corral.admin.rights import Permission
from corral.errors import QueueNotFoundError
from corral.http.deps import Rate, allow, problem
from corral.http.etags import check_match, etag_of, unchanged
from corral.http.idempotency import once
from corral.http.models.base import Listing
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.queues import (
    Autoscale,
    Changed,
    Cleaned,
    CleanBody,
    Deduplication,
    DrainBody,
    Drained,
    MatchBody,
    NameSchema,
    ObliterateBody,
    PauseBody,
    PauseInfo,
    Priorities,
    PriorityCount,
    PromoteQueueBody,
    Queue,
    QueueBody,
    ReasonBody,
    RetryQueueBody,
    Schemas,
    WindowBody,
    autoscale_of,
    details_of,
    queue_of,
    settings_key,
)
from corral.http.models.base import when
from corral.http.paging import Asked, cut, listing
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, engine_of, told
from corral.http.models.defaults import declared_of
from corral.job import JobState
from corral.monitor.objects import QueueRow
from corral.monitor.queues import SORTS
from corral.options import Keep, QueueSettings, RateLimit
from corral.pauses import pauses

router = APIRouter(tags=["Queues"])

#: The most queues that are listed in one go: more are asked for page by page.
ALL = 1_000_000


async def shown(
    call: Caller, name: str, *, priorities: bool = False, defaults: bool = False, fresh: bool = False
) -> tuple[Queue, str]:
    """A queue with its details, and its ETag. Raises: QueueNotFoundError."""
    monitor = call.api.monitor
    info = await monitor.info(name)
    try:
        detail = await monitor.queue(name)
    except QueueNotFoundError:  # younger than the snapshot
        await monitor.refresh()
        detail = await monitor.queue(name)
    if fresh:
        detail = await monitor.current(detail, info)
    noted = (await pauses(monitor.storage, [name], now=monitor.store_now())).get(name)
    pause = None
    if info.paused and noted is not None:
        pause = PauseInfo(
            value=True, reason=noted.reason or None, by=noted.by or None, since=when(noted.since),
            until=when(noted.until),
        )  # fmt: skip
    made = details_of(
        detail, priorities=priorities, defaults=declared_of(call.api.app, name) if defaults else None
    )  # fmt: skip
    found = queue_of(detail.queue, engine_of(call.api), monitor.at(), pause=pause, details=made)
    return found, etag_of(*settings_key(info))
