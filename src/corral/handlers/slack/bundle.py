"""The bundle: Slack as an application takes it in."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NotRequired, TypedDict

from pydantic import SecretStr

from corral.app.bundle import Bundle
from corral.handlers.kit.database import Database
from corral.handlers.slack.api import SlackApi, SlackAuthError, SlackBusyError, SlackRefusedError
from corral.handlers.slack.payload import ManageChannel, PostMessage, SyncSlack
from corral.handlers.slack.posting import manage, post
from corral.handlers.slack.settings import SlackSettings
from corral.handlers.slack.store import Workspaces
from corral.handlers.slack.sync import OnMessages, Walk
from corral.options import Exponential
from corral.signals import Discard, Retry, Snooze
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.slack")

#: The names under which a sync can be added. They all do the same: what is fetched, the payload says.
SYNC_JOBS = ("sync-slack", "sync-users", "sync-channels", "sync-messages")

#: The token of a workspace, from wherever the application keeps them; None when it has none.
Tokens = Callable[[str], Awaitable[SecretStr | None]]


class Synced(TypedDict):
    """What a sync fetched. `skipped` are channels that could not be read, with why."""

    workspaceId: str
    syncType: str
    items: int
    pages: int
    channels: NotRequired[int]
    skipped: NotRequired[dict[str, str]]
    dryRun: NotRequired[bool]


class Posted(TypedDict):
    """Where a message stands now."""

    channel: str
    ts: str
    alreadySent: NotRequired[bool]
    dryRun: NotRequired[bool]


class Managed(TypedDict):
    """Which channel it was done with."""

    action: str
    channel: str
    dryRun: NotRequired[bool]


def bundle(
    settings: SlackSettings | None = None, *, database: Database, tokens: Tokens | None = None,
    on_messages: OnMessages | None = None, queue: str = "sync-slack", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The Slack jobs, for `app.include(bundle(database=…))`. Reads the settings; connects to nothing.

    Args:
        settings: tokens and amounts; by default what the environment, `.env` and `corral.toml` say.
        database: where people, channels and messages are kept. Attach it to the application: `database.attach(app)`.
        tokens: finds a workspace's token, instead of the settings.
        on_messages: gets every page of messages that is fetched, at least once.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = SlackSettings.load() if settings is None else settings
    desk = _Desk(settings, Workspaces(database, clock=clock), tokens, on_messages, clock)
    made = Bundle("slack", queue=queue, attempts=3, backoff=Exponential(2), timeout=600)
    for name in SYNC_JOBS:
        made.job(name)(desk.sync)
    made.job("post-message", timeout=60)(desk.post)
    made.job("manage-channel", timeout=120)(desk.manage)
    return made


class _Desk:
    """The handlers, with what they work on."""

    def __init__(
        self, settings: SlackSettings, store: Workspaces, tokens: Tokens | None, on_messages: OnMessages | None,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = store
        self._tokens = tokens
        self._on_messages = on_messages
        self._clock = clock

    async def sync(self, ctx: JobContext, data: SyncSlack) -> Synced:
        """Fetch people, channels or messages, and keep them.

        Twice is as good as once: every page is kept together with the place it leads to, each record under its own id.
        A run that died is gone on with where its last page ended.
        """
        result: Synced = {"workspaceId": data.workspace_id, "syncType": data.sync_type, "items": 0, "pages": 0}
        api = await self._api(ctx, data.workspace_id)
        if api is None:
            return {**result, "dryRun": True}
        await self._begin(ctx, data)
        walk = Walk(
            api, self._store, data.workspace_id, self._settings, clock=self._clock, on_messages=self._on_messages
        )
        async with self._steered(ctx, data.workspace_id):
            if data.sync_type == "users":
                await walk.users()
            elif data.sync_type == "channels":
                await walk.channels()
            else:
                result["channels"] = await walk.messages(data.channel_ids, lambda share: ctx.progress(int(share * 100)))
                result["skipped"] = walk.skipped
        await ctx.progress(100)
        result.update(walk.walked)  # type: ignore[typeddict-item]  # both have the two counts
        return result

    async def post(self, ctx: JobContext, data: PostMessage) -> Posted:
        """Post a message. A run that comes again after it was posted posts nothing.

        Between Slack's answer and the note of it there is a moment: a worker that dies in it posts a second time.
        """
        key = f"posted {ctx.job.created_at}"  # an id may come again, with another job
        if (sent := await ctx.recall(key)) is not None:
            channel, _, ts = sent.partition(" ")
            return {"channel": channel, "ts": ts, "alreadySent": True}
        api = await self._api(ctx, data.workspace_id)
        if api is None:
            return {"channel": data.channel, "ts": "", "dryRun": True}
        async with self._steered(ctx, data.workspace_id):
            channel, ts = await post(api, data)
        await ctx.note(key, f"{channel} {ts}")
        logger.info("Slack message posted", extra={"jobId": ctx.id, "channel": channel})
        return {"channel": channel, "ts": ts}

    async def manage(self, ctx: JobContext, data: ManageChannel) -> Managed:
        """Create, join, archive and so on. What is done already is done, so twice is as good as once."""
        api = await self._api(ctx, data.workspace_id)
        if api is None:
            return {"action": data.action, "channel": data.channel, "dryRun": True}
        async with self._steered(ctx, data.workspace_id):
            return {"action": data.action, "channel": await manage(api, data)}

    async def _begin(self, ctx: JobContext, data: SyncSlack) -> None:
        """Forget where the last sync ended, once for a job: its later runs go on where the earlier ones were."""
        key = f"begun {ctx.job.created_at}"
        if data.full and await ctx.recall(key) is None:
            await self._store.forget(data.workspace_id, data.sync_type, data.channel_ids)
            await ctx.note(key, "full")

    async def _api(self, ctx: JobContext, workspace: str) -> SlackApi | None:
        """The API with the workspace's token; None when no token is configured at all. Raises: Discard."""
        if self._tokens is not None:
            token = await self._tokens(workspace)
        elif self._settings.has_token:
            token = self._settings.token(workspace)
        else:
            logger.warning("Slack is not configured: nothing was done (SLACK_BOT_TOKEN)", extra={"jobId": ctx.id})
            return None
        if token is None:
            raise Discard(f"workspace {workspace} has no token: set SLACK_TOKENS or SLACK_BOT_TOKEN")
        return SlackApi(token, url=self._settings.slack_api_url, timeout=self._settings.slack_timeout)

    @asynccontextmanager
    async def _steered(self, ctx: JobContext, workspace: str) -> AsyncIterator[None]:
        """What an error of Slack's means for the job, and for the workspace."""
        try:
            yield
        except SlackBusyError as error:
            # A limit is of the workspace: where that is the job's group, only its other jobs rest with it.
            if ctx.job.group is not None:
                raise Retry(str(error), after=error.after, pause="group") from None
            raise Snooze(error.after, str(error)) from None
        except SlackAuthError as error:
            await self._store.note(workspace, str(error))
            raise Discard(f"workspace {workspace}: {error}: look at its token and scopes") from None
        except SlackRefusedError as error:
            raise Discard(f"workspace {workspace}: {error}") from None
        await self._store.note(workspace)
