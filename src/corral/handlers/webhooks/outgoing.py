"""Webhooks that go out: endpoints that others register, and events that are told to each of them."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Unpack

from corral.app.app import Corral
from corral.app.queues import QueueKeywords
from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.handlers.webhooks.bundle import JOB, QUEUE, bundle, checked, web_for
from corral.handlers.webhooks.delivery import TellDisabled
from corral.handlers.webhooks.endpoints import Delivery, Endpoint, Endpoints, Event
from corral.handlers.webhooks.payload import DeliverWebhook
from corral.handlers.webhooks.settings import WebhooksSettings
from corral.handlers.webhooks.signing import derived
from corral.job import NewJob
from corral.naming import sortable_id
from corral.payload import from_json, to_json
from corral.timing import Clock, Seconds, now_ms, to_ms

_EVENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TYPE = re.compile(r"[A-Za-z0-9._/:-]{1,200}")
_PATTERN = re.compile(r"[A-Za-z0-9._/:*?-]{1,200}")


class Told(NamedTuple):
    """What became of an event: its id, and a job for each endpoint that wanted it."""

    event_id: str
    jobs: tuple[str, ...]


class Outgoing:
    """Endpoints and events of an application.

    Example:
        hooks = Outgoing(app, database)
        endpoint = await hooks.add_endpoint("https://example.com/hooks", events=["order.*"])
        print(hooks.secret(endpoint))           # for its owner, to check our signatures with
        await hooks.send("order.paid", {"id": 7})

    The database is attached to the application, and the queue declared with `queue_options`.

    Raises:
        ConfigError: settings that cannot be meant.
    """

    def __init__(
        self, app: Corral, database: Database, settings: WebhooksSettings | None = None, *, web: Web | None = None,
        tell_disabled: TellDisabled | None = None, queue: str = QUEUE, clock: Clock = now_ms,
        **queue_options: Unpack[QueueKeywords],
    ) -> None:  # fmt: skip
        self._settings = checked(WebhooksSettings.load() if settings is None else settings)
        self._web = web or web_for(self._settings)
        self._clock = clock
        self._endpoints = Endpoints(database, clock=clock)
        database.attach(app)
        made = bundle(
            self._settings, database=database, web=self._web, tell_disabled=tell_disabled, queue=queue, clock=clock
        )
        self.queue = app.include(made, **queue_options)
        self._job = self.queue.definition(JOB)

    def __repr__(self) -> str:
        return f"<Outgoing on {self.queue.name}>"

    # -- endpoints -----------------------------------------------------------------------------------------------------

    async def add_endpoint(
        self, url: str, *, events: Sequence[str] = ("*",), organization_id: str | None = None, description: str = ""
    ) -> Endpoint:
        """Register an address. It gets events of its organization only; without one, those of none.

        Raises:
            BlockedAddressError: an address that would never be gone to. ConfigError: a pattern that is none, or no
                key to sign with.
        """
        self._key()
        patterns = tuple(dict.fromkeys(events))
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ConfigError(f"{pattern!r} is no kind of event; write order.paid, order.* or *", key="events")
        if not patterns:
            raise ConfigError("an endpoint asks for one kind of event at least", key="events")
        now = self._clock()
        endpoint = Endpoint(
            id=f"ep_{sortable_id(now)}", organization_id=organization_id, url=self._web.examine(url), events=patterns,
            description=description, generation=1, old_secret_until=None, active=True, failing_since=None,
            disabled_at=None, disabled_why="", created_at=now,
        )  # fmt: skip
        await self._endpoints.add(endpoint)
        return endpoint

    async def endpoint(self, id: str) -> Endpoint:
        """The one with this id. Raises: RecordNotFoundError."""
        return await self._endpoints.get(id)

    async def endpoints(self, organization_id: str | None = None) -> list[Endpoint]:
        """An organization's endpoints, oldest first."""
        return await self._endpoints.of(organization_id)

    async def remove_endpoint(self, id: str) -> bool:
        """Delete it; jobs that still wait for it fail."""
        return await self._endpoints.remove(id)

    async def enable(self, id: str) -> None:
        """Let it have events again, with a clean slate. Raises: RecordNotFoundError."""
        await self._endpoints.change(id, active=True, failing_since=None, disabled_at=None, disabled_why="")

    async def disable(self, id: str, why: str = "") -> None:
        """Let it have no more events. Raises: RecordNotFoundError."""
        await self._endpoints.change(id, active=False, disabled_at=self._clock(), disabled_why=why)

    def secret(self, endpoint: Endpoint) -> str:
        """What its owner checks our signatures with: `whsec_…`. Raises: ConfigError without WEBHOOK_SIGNING_KEY."""
        return derived(self._key(), endpoint.id, endpoint.generation)

    async def rotate(self, id: str, *, overlap: Seconds = 86_400) -> Endpoint:
        """Give it a new secret; for `overlap` seconds the old one signs too. Raises: RecordNotFoundError."""
        endpoint = await self._endpoints.get(id)
        until = self._clock() + to_ms(overlap, "overlap")
        await self._endpoints.change(id, generation=endpoint.generation + 1, old_secret_until=until)
        return endpoint._replace(generation=endpoint.generation + 1, old_secret_until=until)

    # -- events --------------------------------------------------------------------------------------------------------

    async def send(
        self, event_type: str, data: object = None, *, organization_id: str | None = None, id: str | None = None
    ) -> Told:
        """Tell every endpoint that asked for it. When this returns, it is stored and will be tried for three days.

        Args:
            id: of the event. A second call with it tells nobody twice who was told, and changes nothing about it.

        Raises:
            ConfigError: a type or id with other characters than letters, digits and . _ - / : PayloadError: not JSON.
        """
        if not _TYPE.fullmatch(event_type):
            raise ConfigError(f"{event_type!r} is no kind of event; write order.paid", key="event_type")
        now = self._clock()
        if id is None:
            id = f"evt_{sortable_id(now)}"
        elif not _EVENT_ID.fullmatch(id):
            raise ConfigError(f"an event's id is up to 100 letters, digits, . _ and -, not {id!r}", key="id")
        plain = from_json(to_json(data, "webhook data"))
        event = await self._endpoints.keep(Event(id, organization_id, event_type, plain, now))
        wanted = [one for one in await self._endpoints.of(event.organization_id, active=True) if one.wants(event.type)]
        jobs = [self._new(event, endpoint.id, f"{event.id}.{endpoint.id}") for endpoint in wanted]
        if jobs:
            await (await self.queue.open()).add_jobs(jobs)
        return Told(event.id, tuple(job.id or "" for job in jobs))

    async def redeliver(self, event_id: str, endpoint_id: str) -> str:
        """Tell one endpoint once more, under the same `webhook-id`; answers the new job's id.

        Raises:
            RecordNotFoundError: no such event or endpoint (any more). ConfigError: it belongs to somebody else.
        """
        event, endpoint = await self._endpoints.event(event_id), await self._endpoints.get(endpoint_id)
        if event.organization_id != endpoint.organization_id:
            raise ConfigError(f"event {event_id} is not for endpoint {endpoint_id}: it is another organization's",
                              key="endpoint_id")  # fmt: skip
        job = self._new(event, endpoint.id, f"{event.id}.{endpoint.id}.{sortable_id(self._clock())}")
        await (await self.queue.open()).add_jobs([job])
        return job.id or ""

    async def ping(self, endpoint_id: str) -> str:
        """Tell one endpoint that it is connected, whatever it asked for; answers the job's id."""
        endpoint, now = await self._endpoints.get(endpoint_id), self._clock()
        event = Event(
            f"evt_{sortable_id(now)}", endpoint.organization_id, "webhook.ping", {"endpoint": endpoint.id}, now
        )
        await self._endpoints.keep(event)
        return await self.redeliver(event.id, endpoint.id)

    async def deliveries(
        self, *, endpoint: str | None = None, event: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """How attempts went, newest first."""
        return await self._endpoints.deliveries(endpoint=endpoint, event=event, limit=limit)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _new(self, event: Event, endpoint_id: str, job_id: str) -> NewJob:
        payload = DeliverWebhook(
            endpoint_id=endpoint_id, event_id=event.id, event_type=event.type, created_at=event.created_at,
            data=event.data,
        )  # fmt: skip
        return self._job.new(payload, id=job_id, group=endpoint_id)

    def _key(self) -> str:
        if not self._settings.webhook_signing_key:
            raise ConfigError("webhooks are signed: set WEBHOOK_SIGNING_KEY to 32 random characters",
                              key="WEBHOOK_SIGNING_KEY")  # fmt: skip
        return self._settings.webhook_signing_key[0].get_secret_value()
