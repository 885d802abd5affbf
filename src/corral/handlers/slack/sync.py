"""The walks through a workspace: page by page, each kept with the place it leads to, so that the next run goes on."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypedDict

from corral.handlers.slack import reading
from corral.handlers.slack.api import SlackApi, SlackRefusedError
from corral.handlers.slack.settings import SlackSettings
from corral.handlers.slack.store import Message, Place, Workspaces
from corral.timing import Clock

logger = logging.getLogger("corral.handlers.slack")

#: Gets every page of messages of a workspace, once they are kept: at least once, also after a crash.
OnMessages = Callable[[str, Sequence[Message]], Awaitable[object]]
#: Told how far a walk is: a share of it from 0 to 1.
Tick = Callable[[float], Awaitable[None]]

#: What makes a channel's messages unreadable, and says nothing about the next channel's.
_CLOSED = frozenset(
    "channel_not_found is_archived not_in_channel method_not_supported_for_channel_type thread_not_found".split()
)
_CURSOR = frozenset({"invalid_cursor", "invalid_arguments"})
#: A list of thousands of channels is one page short of endless only when a server repeats itself.
MAX_PAGES = 10_000


class Walked(TypedDict):
    """What a walk found."""

    items: int
    pages: int


class Walk:
    """The walks of one job."""

    def __init__(
        self, api: SlackApi, store: Workspaces, workspace: str, settings: SlackSettings, *, clock: Clock,
        on_messages: OnMessages | None,
    ) -> None:  # fmt: skip
        self._api = api
        self._store = store
        self._workspace = workspace
        self._settings = settings
        self._clock = clock
        self._on_messages = on_messages
        self.skipped: dict[str, str] = {}  #: channel -> why its messages could not be read
        self._walked: Walked = {"items": 0, "pages": 0}

    @property
    def walked(self) -> Walked:
        """What there was so far."""
        return self._walked

    async def users(self) -> None:
        """Everybody."""
        cursor = (await self._store.place(self._workspace, "users")).next
        async for answer, place in self._pages("users.list", cursor, {}):
            found = [made for one in reading.items(answer, "members") if (made := reading.user(one))]
            await self._store.page(self._workspace, "users", found, place)
            self._count(len(found))

    async def channels(self) -> None:
        """All channels the app can see."""
        cursor = (await self._store.place(self._workspace, "channels")).next
        asked = {"types": "public_channel,private_channel"}
        async for answer, place in self._pages("conversations.list", cursor, asked):
            found = [made for one in reading.items(answer, "channels") if (made := reading.channel(one))]
            await self._store.page(self._workspace, "channels", found, place)
            self._count(len(found))

    async def messages(self, channel_ids: Sequence[str], tick: Tick) -> int:
        """What was written since the last time; answers in how many channels it looked."""
        if not channel_ids:
            if await self._store.finished_at(self._workspace, "channels") is None:
                await self.channels()
                self._walked = {"items": 0, "pages": 0}
            channel_ids = [one.id for one in await self._store.channels(self._workspace, readable=True)]
        for at, channel in enumerate(channel_ids):
            try:
                await self._messages_of(channel)
            except SlackRefusedError as error:
                if error.code not in _CLOSED:
                    raise
                logger.warning("channel %s of workspace %s cannot be read: %s", channel, self._workspace, error.code)
                self.skipped[channel] = error.code
            await tick((at + 1) / len(channel_ids))
        return len(channel_ids)

    async def _messages_of(self, channel: str) -> None:
        place = await self._store.place(self._workspace, "messages", channel)
        oldest = place.latest or self._horizon()
        newest = place.newest
        asked = {"channel": channel, "oldest": oldest}
        async for answer, step in self._pages("conversations.history", place.next, asked):
            found = self._read(channel, answer)
            for parent in (one for one in found if one.replies and self._settings.slack_threads):
                found += await self._replies(channel, parent)
            newest = max([newest, *(one.ts for one in found if one.thread_ts in ("", one.ts))])
            # Pages lead from the newest to the oldest: only at their end is everything up to the newest there.
            done = Place(latest=newest or place.latest, newest="", next="")
            under_way = Place(latest=place.latest, newest=newest, next=step.next)
            await self._keep(channel, found, under_way if step.next else done)

    async def _replies(self, channel: str, parent: Message) -> list[Message]:
        asked = {"channel": channel, "ts": parent.ts}
        return [
            one
            async for answer, _ in self._pages("conversations.replies", "", asked)
            for one in self._read(channel, answer)
            if one.ts != parent.ts  # a thread begins with its parent
        ]

    async def _keep(self, channel: str, found: Sequence[Message], place: Place) -> None:
        await self._store.page(self._workspace, "messages", found, place, channel=channel)
        self._count(len(found))
        if found and self._on_messages is not None:
            await self._on_messages(self._workspace, found)

    def _read(self, channel: str, answer: Mapping[str, object]) -> list[Message]:
        text = self._settings.slack_store_text
        records = reading.items(answer, "messages")
        return [made for one in records if (made := reading.message(channel, one, text=text))]

    async def _pages(
        self, method: str, cursor: str, asked: Mapping[str, str]
    ) -> AsyncIterator[tuple[Mapping[str, object], Place]]:
        """Pages with the place each leads to. A cursor of last week is none any more: then from the start."""
        for _ in range(MAX_PAGES):
            try:
                answer = await self._api.call(
                    method, limit=self._settings.slack_page_size, cursor=cursor or None, **asked
                )
            except SlackRefusedError as error:
                if not (cursor and error.code in _CURSOR):
                    raise
                cursor = ""
                continue
            cursor = reading.next_cursor(answer)
            yield answer, Place(next=cursor)
            if not cursor:
                return
        raise SlackRefusedError(f"{method} has more than {MAX_PAGES:,} pages", code="too_many_pages")

    def _count(self, items: int) -> None:
        self._walked["items"] += items
        self._walked["pages"] += 1

    def _horizon(self) -> str:
        return f"{self._clock() / 1000 - self._settings.slack_history_days * 86_400:.6f}"
