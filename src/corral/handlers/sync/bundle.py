"""The bundle: the data sync as an application takes it in."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from corral.app.bundle import Bundle
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.handlers.sync.payload import SyncData
from corral.handlers.sync.settings import SyncSettings
from corral.handlers.sync.syncer import CONNECTORS, OnProblem, Synced, Syncer
from corral.handlers.sync.tables import SCHEMA
from corral.intake import EnqueueMiddleware
from corral.job import NewJob
from corral.keywords import check_group
from corral.options import Exponential
from corral.payload import from_json
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

#: Answers of platforms may be long: a page of 10,000 lines of Google Analytics is 3 MB.
MAX_BYTES = 20_000_000


def bundle(
    settings: SyncSettings | None = None, *, database: Database, web: Web | None = None,
    on_problem: OnProblem | None = None, clock: Clock = now_ms, queue: str = "data-sync", job: str = "data-sync",
) -> Bundle:  # fmt: skip
    """The data sync, for `app.include(bundle(database=…))`. Connects to nothing.

    Args:
        settings: by default what the environment, `.env` and `corral.toml` say.
        web: one way out for all platforms; by default each has its own, which trusts the address that the settings
            give for it, and nothing else.
        on_problem: told when an integration stops working, such as when its keys are not accepted any more.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = SyncSettings.load() if settings is None else settings
    database.needs(SCHEMA)
    webs = {name: web or web_for(name, settings) for name in CONNECTORS}
    syncer = Syncer(settings, database, webs, clock=clock, on_problem=on_problem)

    async def sync(ctx: JobContext, data: SyncData) -> Synced:
        """Fetch what is new from one platform. A second run goes on after the last page that was kept."""
        return await syncer.run(ctx, data)

    made = Bundle("sync", queue=queue, attempts=3, backoff=Exponential(2), timeout=300)
    made.job(job)(sync)
    return made


def web_for(platform: str, settings: SyncSettings) -> Web:
    """The way out to one platform: https and public, but for the address that the operator gave."""
    own = getattr(settings, f"{platform.replace('-', '_').removesuffix('_ads')}_url")
    return Web(trusted=[own] if own else [], timeout=30.0, max_bytes=MAX_BYTES)


def by_integration(queue: str = "data-sync") -> EnqueueMiddleware:
    """Makes each integration's syncs a group of their own: `app.enqueue_middleware(by_integration())`.

    Then a platform that answers 429 stops that integration and nobody else, and `group_limits` hold for each.
    """

    async def group(job: NewJob, call_next: Callable[[NewJob], Awaitable[NewJob]]) -> NewJob:
        if job.queue == queue and job.group is None:
            payload = from_json(job.data)
            named = payload.get("integrationId") if isinstance(payload, dict) else None
            if isinstance(named, str):
                return await call_next(replace(job, group=check_group(named)))
        return await call_next(job)

    return group
