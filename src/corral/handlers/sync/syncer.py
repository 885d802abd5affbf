"""One sync from beginning to end: kind by kind, page by page, and what is done about whatever goes wrong."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import NamedTuple, NoReturn

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import (
    AuthError,
    BlockedAddressError,
    BusyError,
    RefusedError,
    TooLargeError,
    Web,
    WebError,
)
from corral.handlers.sync.access import Vault, access_to
from corral.handlers.sync.connector import Connector, Window, midnight
from corral.handlers.sync.facebook_ads import FacebookAds
from corral.handlers.sync.google_analytics import GoogleAnalytics
from corral.handlers.sync.integrations import Integration
from corral.handlers.sync.payload import SyncData
from corral.handlers.sync.settings import SyncSettings
from corral.handlers.sync.shopify import Shopify
from corral.handlers.sync.state import BROKEN, WORKS, Cursor, Hold, State, Sweep, window_of
from corral.handlers.sync.stripe import Stripe
from corral.handlers.sync.woocommerce import WooCommerce
from corral.signals import Discard, Retry, Snooze
from corral.timing import Clock, Millis
from corral.worker.context import JobContext

log = logging.getLogger("corral.handlers.sync")
_TOTALS = "sync/totals"

CONNECTORS: Mapping[str, type[Connector]] = {
    kind.platform: kind for kind in (Shopify, WooCommerce, Stripe, GoogleAnalytics, FacebookAds)
}


class Problem(Struct, frozen=True, kw_only=True):
    """An integration does not work any more until somebody does something about it."""

    id: str  #: the same in every attempt: whoever tells people about it does so once
    integration: Integration
    reason: str


#: Told when an integration's status becomes `error`.
OnProblem = Callable[[Problem], Awaitable[object]]


class Synced(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a sync did."""

    integration_id: str
    platform: str
    sync_type: str
    fetched: Mapping[str, int] = {}  #: objects by kind
    removed: Mapping[str, int] = {}  #: of what is not there any more
    pages: int = 0
    calls: int = 0
    skipped: str | None = None


class _Totals(Struct):
    """What the turns of one job did so far."""

    fetched: dict[str, int] = {}
    removed: dict[str, int] = {}
    pages: int = 0
    calls: int = 0


class _Run(NamedTuple):
    """What one run of a job works with."""

    ctx: JobContext
    data: SyncData
    state: State
    connector: Connector
    totals: _Totals
    deadline: Millis


class Syncer:
    """Syncs integrations. `webs` are the ways out, by platform."""

    def __init__(
        self, settings: SyncSettings, database: Database, webs: Mapping[str, Web], *, clock: Clock,
        on_problem: OnProblem | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        self._webs = webs
        self._clock = clock
        self._on_problem = on_problem
        self._vault = Vault(settings)

    async def run(self, ctx: JobContext, data: SyncData) -> Synced:
        """Bring one integration up to date.

        It may run twice: pages are upserts in one transaction with the cursor, so a second run goes on where the
        first one died, and what it writes again is the same.

        Raises:
            Discard: the keys are not accepted, or nothing a further attempt could change. Retry, Snooze: the platform
            wants a rest, another job is at it, or it takes longer than one turn. WebError: no answer; try again.
        """
        state = State(self._database, self._clock, data.integration_id, ctx.id)
        held = await state.hold(data.organization_id, data.platform)
        what = held.integration
        if (what.organization_id, what.platform) != (data.organization_id, data.platform):
            await state.release()
            raise Discard(f"integration {what.id!r} is not a {data.platform} account of {data.organization_id!r}")
        if what.status == "paused":
            return Synced(
                integration_id=what.id,
                platform=what.platform,
                sync_type=data.sync_type,
                skipped="the integration is paused",
            )
        if held.busy_until is not None:
            raise Snooze(min(15.0, max(1.0, (held.busy_until - self._clock()) / 1000)), "another job is syncing it")
        return await self._guarded(ctx, data, state, held)

    async def _guarded(self, ctx: JobContext, data: SyncData, state: State, held: Hold) -> Synced:
        connector: Connector | None = None
        totals = msgspec.json.decode(await ctx.recall(_TOTALS) or "{}", type=_Totals)
        try:
            access = access_to(data.platform, held.integration.config, held.sealed, self._settings, self._vault)
            connector = CONNECTORS[data.platform](access, self._settings, self._webs[data.platform], self._clock)
            deadline = self._clock() + round(self._settings.sync_turn * 1000)
            done = await self._all(_Run(ctx, data, state, connector, totals, deadline))
        except (AuthError, ConfigError, RefusedError, BlockedAddressError, TooLargeError) as error:
            await state.end_passes()  # a position that the platform has forgotten is refused, too
            await self._broken(ctx, state, held.integration, str(error))
            raise Discard(str(error)) from None
        except (BusyError, Snooze) as error:
            await state.release()
            totals.calls += 0 if connector is None else connector.calls
            await ctx.note(_TOTALS, msgspec.json.encode(totals).decode())
            if isinstance(error, Snooze):
                raise
            rest = 60.0 if connector is None else connector.rest
            self._rest(ctx, data, error, rest if error.after is None else error.after)
        except WebError as error:
            await state.failed(str(error))
            raise
        finally:
            if connector is not None and connector.calls:
                await state.count_calls(connector.calls, connector.quota)
        await state.end_passes()
        await state.release(status=WORKS, last_error=None, failures=0, synced_at=self._clock())
        log.info("Sync finished integration=%s platform=%s objects=%d", data.integration_id, data.platform,
                 sum(done.fetched.values()))  # fmt: skip
        return done

    def _rest(self, ctx: JobContext, data: SyncData, error: BusyError, after: float) -> NoReturn:
        after = max(after, 1.0)
        log.info("Platform wants a rest integration=%s seconds=%g", data.integration_id, after)
        if ctx.job.group is None:  # without a group the whole queue would rest
            raise Snooze(after, str(error)) from None
        raise Retry(str(error), after=after, pause="group") from None

    async def _broken(self, ctx: JobContext, state: State, what: Integration, reason: str) -> None:
        """Say that it does not work. People are told first: a run that dies in between tells them under the same id."""
        log.warning("Sync failed integration=%s reason=%s", what.id, reason)
        if self._on_problem is not None and what.status != "error":
            broken = replace(what, status="error", last_error=reason)
            await self._on_problem(Problem(id=f"sync-{what.id}-{ctx.id}", integration=broken, reason=reason))
        await state.failed(reason, status=BROKEN)

    async def _all(self, run: _Run) -> Synced:
        for kind in run.connector.kinds:
            await self._kind(run, kind)
        return Synced(
            integration_id=run.data.integration_id, platform=run.data.platform, sync_type=run.data.sync_type,
            fetched=run.totals.fetched, removed=run.totals.removed, pages=run.totals.pages,
            calls=run.totals.calls + run.connector.calls,
        )  # fmt: skip

    async def _kind(self, run: _Run, kind: str) -> None:
        """All pages of one kind, from where an earlier turn of this job left off."""
        cursor = await run.state.cursor(kind)
        resumed = cursor.run is not None and cursor.run.startswith(f"{run.ctx.id}/")
        if resumed and cursor.position is None:
            return  # an earlier turn of this job is through with it
        if not resumed:
            cursor = self._new_pass(run, cursor)
        totals = run.totals
        while True:
            assert cursor.until is not None
            window = Window(since=cursor.since, until=cursor.until)
            try:
                page = await run.connector.page(kind, window, cursor.position)
            except RefusedError:
                if not resumed:
                    raise
                resumed, cursor = False, self._new_pass(run, cursor)  # it may have forgotten the position
                continue
            resumed = False
            high = max((at for at in (cursor.high, page.high) if at is not None), default=None)
            last = page.next is None
            mark = _watermark(cursor, high, run.data) if last else cursor.watermark
            cursor = replace(cursor, watermark=mark, position=page.next, high=high)
            sweep = self._sweep(run, kind, window) if last else None
            gone = await run.state.write(run.data.organization_id, kind, page, cursor, sweep)
            totals.pages += 1
            totals.fetched[kind] = totals.fetched.get(kind, 0) + len(page.rows)
            await run.ctx.progress({"kind": kind, "fetched": totals.fetched[kind]})
            if last:
                if gone:
                    totals.removed[kind] = gone
                return
            if self._clock() >= run.deadline:
                raise Snooze(1, f"{run.data.platform} has more: another turn goes on from here")

    def _new_pass(self, run: _Run, cursor: Cursor) -> Cursor:
        now, data = self._clock(), run.data
        until = now if data.end_date is None else min(now, midnight(data.end_date + timedelta(days=1)))
        window = window_of(cursor, run.connector.overlap, _start(data.start_date), until, full=data.sync_type == "full")
        return replace(
            cursor, position=None, high=None, run=f"{run.ctx.id}/{now}", since=window.since, until=window.until
        )

    def _sweep(self, run: _Run, kind: str, window: Window) -> Sweep | None:
        data = run.data
        if kind in run.connector.dated:
            return Sweep(days=run.connector.span(window))
        whole = data.sync_type == "full" and data.start_date is None and data.end_date is None
        return Sweep() if whole and kind in run.connector.swept else None


def _start(day: date | None) -> Millis | None:
    return None if day is None else midnight(day)


def _watermark(cursor: Cursor, high: Millis | None, data: SyncData) -> Millis | None:
    """What the next incremental sync begins from: never beyond a gap, which a look at some days may have left."""
    start = _start(data.start_date)
    gap = start is not None and (cursor.watermark is None or start > cursor.watermark)
    if high is None or gap or data.end_date is not None:
        return cursor.watermark
    return max(high, cursor.watermark or 0)
