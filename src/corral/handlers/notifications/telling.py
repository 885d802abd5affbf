"""Telling people: each in the ways that he wants, each way once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict
from urllib.parse import urljoin

from msgspec import Struct

from corral.handlers.kit.mail import Mail, SendMail
from corral.handlers.kit.web import AuthError, BusyError, RefusedError, WebError
from corral.handlers.notifications.payload import Channel, Subscription, Urgency
from corral.handlers.notifications.people import People, Person
from corral.handlers.notifications.push import Pusher
from corral.handlers.notifications.store import Browsers, Inbox, Note, key_of
from corral.signals import Snooze
from corral.worker.context import JobContext
from corral.worker.steps import Step

logger = logging.getLogger("corral.handlers.notifications")

#: Before a push service is asked again that is busy and does not say for how long, in seconds.
_PAUSE = 30.0


class News(Struct, frozen=True, kw_only=True):
    """What there is to tell."""

    organization: str
    kind: str
    title: str
    message: str = ""
    url: str = ""
    urgency: Urgency = "normal"
    data: Mapping[str, object] = {}
    channels: Sequence[Channel] = ("inbox", "email", "push")


class Told(TypedDict):
    """Who was told, in how many ways, and whom nobody knows."""

    told: list[str]
    inbox: int
    email: int
    push: int
    unknown: list[str]


#: Makes a person's mail.
MailFor = Callable[[Person], Mail]


class Teller:
    """Tells people, through what it was given: without a `send` there are no mails, without a `pusher` no pushes."""

    def __init__(
        self, people: People, inbox: Inbox, browsers: Browsers, *, send: SendMail | None = None,
        pusher: Pusher | None = None, base_url: str | None = None,
    ) -> None:  # fmt: skip
        self.people = people
        self.inbox = inbox
        self.browsers = browsers
        self._send = send
        self._pusher = pusher
        self._base_url = base_url

    def link(self, url: str) -> str:
        """A link as a mail can have it; "" for a path of an application whose address is not known."""
        if not url.startswith("/"):
            return url
        return "" if self._base_url is None else urljoin(self._base_url, url)

    async def tell(self, ctx: JobContext, ids: Sequence[str], news: News, mail: MailFor) -> Told:
        """Tell each of them. What an earlier run of the job did is not done again.

        Raises:
            Snooze: a push service has too much to do. WebError: one did not answer.
        """
        wanted = list(dict.fromkeys(ids))
        known = await self.people.find(news.organization, wanted)
        told: Told = {
            "told": [id for id in wanted if id in known], "inbox": 0, "email": 0, "push": 0,
            "unknown": [id for id in wanted if id not in known],
        }  # fmt: skip
        if not any(map(self._leads, news.channels)):
            logger.warning("job %s tells nobody: the bundle has no way for %s", ctx.id, " and ".join(news.channels))
        trouble: list[WebError] = []
        for at, id in enumerate(told["told"]):
            person = known[id]
            for channel in person.channels.intersection(news.channels):
                if channel == "inbox":
                    told["inbox"] += await self._put(ctx, person, news)
                elif channel == "email":
                    told["email"] += await self._mail(ctx, person, news, mail)
                else:
                    told["push"] += await self._push(ctx, person, news, trouble)
            if len(wanted) > 10:
                await ctx.progress(100 * (at + 1) // len(wanted))
        _raise(trouble)
        return told

    def _leads(self, channel: Channel) -> bool:
        """Whether the bundle was given what a channel needs."""
        return {"inbox": True, "email": self._send is not None, "push": self._pusher is not None}[channel]

    async def _put(self, ctx: JobContext, person: Person, news: News) -> int:
        note = Note(
            id=_key(ctx, person), kind=news.kind, title=news.title, message=news.message, url=news.url, data=news.data,
            created_at=ctx.job.created_at,
        )  # fmt: skip
        await self.inbox.put(news.organization, person.id, note)
        return 1

    async def _mail(self, ctx: JobContext, person: Person, news: News, mail: MailFor) -> int:
        if self._send is None or not person.email:
            return 0
        await self._send(f"{news.kind}-{_key(ctx, person)}", mail(person))
        return 1

    async def _push(self, ctx: JobContext, person: Person, news: News, trouble: list[WebError]) -> int:
        """Push to each of somebody's browsers; one that fails does not keep the others waiting."""
        if self._pusher is None:
            return 0
        count = 0
        for id, subscription in (await self.browsers.of(news.organization, person.id)).items():
            try:
                count += await ctx.step(Step("push", key=id), self._push_one, ctx, person, news, id, subscription)
            except (AuthError, RefusedError) as error:
                logger.warning("a push of job %s is not taken: %s", ctx.id, error)
            except WebError as error:
                trouble.append(error)
        return count

    async def _push_one(self, ctx: JobContext, person: Person, news: News, id: str, subscription: Subscription) -> int:
        assert self._pusher is not None
        key = _key(ctx, person)
        content = {"title": news.title, "body": news.message, "url": news.url, "kind": news.kind, "id": key}
        # The same topic in every attempt: a push that waits for its browser is replaced, not doubled.
        if await self._pusher.push(subscription, content, topic=key, urgency=news.urgency):
            return 1
        await self.browsers.unsubscribe(id)
        return 0


def _key(ctx: JobContext, person: Person) -> str:
    """An id for what this job tells a person: the same in every attempt, and no other job's."""
    return key_of(ctx.queue, ctx.id, str(ctx.job.created_at), person.id)


def _raise(trouble: Sequence[WebError]) -> None:
    busy = [error.after or _PAUSE for error in trouble if isinstance(error, BusyError)]
    if busy:
        raise Snooze(max(busy), str(trouble[0]))
    if trouble:
        raise trouble[0]
