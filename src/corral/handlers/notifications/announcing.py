"""Announcements in chats and services, through apprise: to addresses that the operator configured, and to no others."""

import asyncio
import warnings
from collections.abc import Mapping, Sequence

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from pydantic import SecretStr

from corral.errors import ConfigError, CorralError
from corral.handlers.notifications.payload import Announce

_TYPES = {
    "info": NotifyType.INFO,
    "success": NotifyType.SUCCESS,
    "warning": NotifyType.WARNING,
    "failure": NotifyType.FAILURE,
}


class NotTakenError(CorralError):
    """A service did not take an announcement. Trying again may help."""


class Announcer:
    """Says things to the services of an audience.

    Raises:
        ConfigError: an address that apprise cannot read. It names the audience, not the address, which holds a token.
    """

    def __init__(self, urls: Mapping[str, Sequence[SecretStr]]) -> None:
        self._asset = AppriseAsset(app_id="corral", app_desc="corral", secure_logging=True, async_mode=False)
        self._services: dict[str, list[Apprise]] = {}
        for audience, several in urls.items():
            self._services[audience] = [self._service(audience, url) for url in several]

    def __repr__(self) -> str:
        return f"<Announcer for {', '.join(self._services) or 'nobody'}>"

    @property
    def audiences(self) -> frozenset[str]:
        """Whom there is to speak to."""
        return frozenset(self._services)

    def services(self, audience: str) -> list[str]:
        """The kinds of services of an audience, in order: `slack`, `ntfy` …"""
        return [_kind(one) for one in self._services.get(audience, [])]

    async def say(self, data: Announce, at: int) -> None:
        """Say something to the `at`th service of an audience. Raises: NotTakenError."""
        service = self._services[data.audience][at]
        # What people wrote is text: no markup of theirs, and no escape sequences.
        taken = await asyncio.to_thread(
            service.notify, body=data.message or data.title, title=data.title if data.message else "",
            notify_type=_TYPES[data.level], body_format=NotifyFormat.TEXT, interpret_escapes=False,
        )  # fmt: skip
        if not taken:
            raise NotTakenError(f"{_kind(service)} did not take the announcement for {data.audience!r}")

    def _service(self, audience: str, url: SecretStr) -> Apprise:
        made = Apprise(asset=self._asset)
        with warnings.catch_warnings():
            # The first address has all services loaded, and one of them imports what Python 3.13 dropped.
            warnings.simplefilter("ignore", DeprecationWarning)
            added = made.add(url.get_secret_value())
        if not added:
            raise ConfigError(f"an address of audience {audience!r} in NOTIFY_URLS cannot be read", key="notify")
        return made


def _kind(service: Apprise) -> str:
    return str(service[0].service_name)
