"""The bundle: notifications as an application takes them in."""

import logging
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TypedDict

from corral.app.bundle import Bundle
from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import Mail, SendMail
from corral.handlers.kit.web import Web
from corral.handlers.notifications.announcing import Announcer, NotTakenError
from corral.handlers.notifications.payload import Achievement, Announce, Kudos, Notify, Performer, TeamUpdate
from corral.handlers.notifications.people import Anybody, People, Person
from corral.handlers.notifications.push import Pusher
from corral.handlers.notifications.settings import NotificationSettings
from corral.handlers.notifications.store import Browsers, Inbox, KudosBook, key_of
from corral.handlers.notifications.telling import News, Teller, Told
from corral.handlers.notifications.webpush import Vapid
from corral.options import Exponential
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext
from corral.worker.handler import HandlerFunction
from corral.worker.steps import Step

logger = logging.getLogger("corral.handlers.notifications")

JOBS = ("kudos", "achievement", "team-update", "send-notification", "announce")


class Reached(TypedDict):
    """What became of an achievement: `new` is False when the person had it already, and nobody was told again."""

    new: bool
    told: list[str]
    inbox: int
    email: int
    push: int
    unknown: list[str]


class Announced(TypedDict):
    """Which kinds of services took an announcement."""

    services: list[str]
    dryRun: bool


def bundle(
    settings: NotificationSettings | None = None, *, database: Database, people: People | None = None,
    send: SendMail | None = None, web: Web | None = None, queue: str = "send-kudos-notification",
    jobs: Iterable[str] = JOBS, clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The notification jobs, for `app.include(bundle(database=…))`. Reads the settings; connects to nothing.

    Args:
        settings: how people are reached; by default what the environment, `.env` and `corral.toml` say.
        database: where inboxes, browsers and kudos are kept. Attach it to the application: `database.attach(app)`.
        people: finds people by their ids. Without it an id is a name, and nobody has an address.
        send: hands a mail in, such as `mail_to(queue)`. Without it there are no mails.
        web: how push services are asked. It must trust no private address.
        jobs: which of the jobs to declare.

    Raises:
        ConfigError: settings that cannot be meant, or a job that there is not.
    """
    settings = NotificationSettings.load() if settings is None else settings
    pusher = None
    if settings.vapid_private_key is not None:
        vapid = Vapid(settings.vapid_private_key, settings.vapid_subject or "")
        pusher = Pusher(web or Web(), vapid, ttl=settings.push_ttl, clock=clock)
    teller = Teller(
        people or Anybody(), Inbox(database, clock=clock), Browsers(database, clock=clock), send=send, pusher=pusher,
        base_url=settings.notify_base_url,
    )  # fmt: skip
    book, announcer = KudosBook(database, clock=clock), Announcer(settings.notify_urls)
    desk = _Desk(settings, teller, book, announcer, strict=people is not None)
    handlers: dict[str, HandlerFunction] = {
        "kudos": desk.kudos,
        "achievement": desk.achievement,
        "team-update": desk.team_update,
        "send-notification": desk.notify,
        "announce": desk.announce,
    }
    made = Bundle("notifications", queue=queue, attempts=3, backoff=Exponential(2), timeout=120)
    for name in jobs:
        if name not in handlers:
            raise ConfigError(f"there is no notification job {name!r}; there are {', '.join(JOBS)}", key="jobs")
        made.job(name)(handlers[name])
    return made


class _Desk:
    """The handlers, with what they work on."""

    def __init__(
        self, settings: NotificationSettings, teller: Teller, book: KudosBook, announcer: Announcer, *, strict: bool
    ) -> None:
        self._settings = settings
        self._teller = teller
        self._book = book
        self._announcer = announcer
        self._strict = strict  #: whether people can be unknown

    async def kudos(self, ctx: JobContext, data: Kudos) -> Told:
        """Keep kudos and tell the one who earned them, all of it under ids of this job's: a second run adds nothing."""
        people = await self._teller.people.find(data.organization_id, [data.sender_id, data.recipient_id])
        if len({data.sender_id, data.recipient_id} & people.keys()) != 2:
            raise Discard(f"{data.sender_id!r} and {data.recipient_id!r} must be two people of the organization")
        sender = people[data.sender_id]
        await self._book.praise(_key(ctx), data, self._day(ctx))
        details = {"senderId": sender.id, **({"value": data.value} if data.value else {})}
        news = News(
            organization=data.organization_id, kind="kudos", title=f"Kudos from {sender.name}"[:200],
            message=data.message, url=data.url or "", data=details, channels=data.channels,
        )  # fmt: skip

        def mail(person: Person) -> Mail:
            facts: dict[str, object] = {"name": person.name, "senderName": sender.name, "message": data.message}
            facts |= {"value": data.value} if data.value else {}
            return self._mail(person, f"{sender.name} gave you kudos", "kudos", facts, "kudosUrl", news)

        return await self._teller.tell(ctx, [data.recipient_id], news, mail)

    async def achievement(self, ctx: JobContext, data: Achievement) -> Reached:
        """Keep an achievement and tell whoever reached it, once: another job about the same one tells nobody."""
        if not await self._book.reach(data, self._day(ctx), job=_key(ctx)):
            return {"new": False, "told": [], "inbox": 0, "email": 0, "push": 0, "unknown": []}
        news = News(
            organization=data.organization_id, kind="achievement", title=data.title, message=data.description,
            url=data.url or "", data={"achievement": data.achievement}, channels=data.channels,
        )  # fmt: skip

        def mail(person: Person) -> Mail:
            facts: dict[str, object] = {"name": person.name, "achievement": data.title}
            facts |= {"message": data.description} if data.description else {}
            return self._mail(person, data.title, "achievement", facts, "achievementUrl", news)

        told = await self._teller.tell(ctx, [data.person_id], news, mail)
        return {"new": True, **told}

    async def team_update(self, ctx: JobContext, data: TeamUpdate) -> Told:
        """Tell a team its news. A second run adds nothing."""
        performers = [
            one.model_dump(exclude_none=True) if isinstance(one, Performer) else one for one in data.top_performers
        ]
        facts: dict[str, object] = {
            "kudosCount": data.kudos_count, "topPerformers": performers, "title": data.title, "message": data.message,
            "highlights": list(data.highlights),
        }  # fmt: skip
        facts |= {"teamName": data.team_name} if data.team_name else {}
        facts |= {"period": data.period} if data.period else {}
        news = News(
            organization=data.organization_id, kind="team-update", title=data.title, message=data.message,
            url=data.url or "", data=facts, channels=data.channels,
        )  # fmt: skip

        def mail(person: Person) -> Mail:
            return self._mail(person, data.title, "team-update", facts, "dashboardUrl", news)

        return self._known(await self._teller.tell(ctx, data.recipient_ids, news, mail))

    async def notify(self, ctx: JobContext, data: Notify) -> Told:
        """Tell people something. A second run adds nothing."""
        news = News(
            organization=data.organization_id, kind=data.kind, title=data.title, message=data.message,
            url=data.url or "", urgency=data.urgency, data=data.data, channels=data.channels,
        )  # fmt: skip

        def mail(person: Person) -> Mail:
            facts = {"name": person.name, "title": data.title, "message": data.message or data.title}
            return self._mail(person, data.title, "notification", facts, "actionUrl", news)

        return self._known(await self._teller.tell(ctx, data.recipient_ids, news, mail))

    async def announce(self, ctx: JobContext, data: Announce) -> Announced:
        """Say something in the chats of an audience, in each once; what failed is tried again, the others are not."""
        if not self._announcer.audiences:
            logger.warning("NOTIFY_URLS is not set: nothing was announced", extra={"jobId": ctx.id})
            return {"services": [], "dryRun": True}
        if data.audience not in self._announcer.audiences:
            raise Discard(f"audience {data.audience!r} is not in NOTIFY_URLS")
        services, trouble = self._announcer.services(data.audience), []
        for at in range(len(services)):
            try:
                await ctx.step(Step("announce", key=at), self._announcer.say, data, at)
            except NotTakenError as error:
                trouble.append(error)
        if trouble:
            raise trouble[0]
        return {"services": services, "dryRun": False}

    def _known(self, told: Told) -> Told:
        if self._strict and not told["told"]:
            raise Discard(f"nobody has one of the ids {', '.join(told['unknown'][:10])}")
        return told

    def _mail(
        self, person: Person, subject: str, template: str, facts: Mapping[str, object], link: str, news: News
    ) -> Mail:
        """A mail about news, with a link under the name that the template has for it."""
        url = self._teller.link(news.url)
        data = {**facts, link: url} if url else facts
        return Mail(to=(person.email,), subject=subject, template=template, data=data)

    def _day(self, ctx: JobContext) -> date:
        return datetime.fromtimestamp(ctx.job.created_at / 1000, self._settings.zone).date()


def _key(ctx: JobContext) -> str:
    """The job, also when its id comes again with another one."""
    return key_of(ctx.queue, ctx.id, str(ctx.job.created_at))
