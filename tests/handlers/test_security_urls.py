"""S-43 in every family: an address that somebody else may write leads to no server inside, whichever of them asks."""

from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr

from corral.handlers.alerts import Alert, Severity, by_slack, by_webhook
from corral.handlers.health.checks import UrlCheck
from corral.handlers.kit.web import BlockedAddressError, Web
from corral.handlers.notifications import Pusher, Subscription, Vapid, new_vapid_key
from corral.handlers.sync.bundle import web_for as web_of_sync
from corral.handlers.sync.settings import SyncSettings
from corral.handlers.sync.syncer import CONNECTORS
from corral.handlers.webhooks import WebhooksSettings
from corral.handlers.webhooks import web_for as web_of_webhooks

from .kit.raw_server import Names, answer, answering, outside, raw_server
from .notifications.receiver import Receiver

#: Names that anybody may have: they lead inside by number, by IPv6, by what hides an IPv4 address, or among others.
INSIDE = {
    "loop.example.com": ["127.0.0.1"], "meta.example.com": ["169.254.169.254"], "lan.example.com": ["192.168.0.7"],
    "six.example.com": ["::1"], "ula.example.com": ["fd00:ec2::254"], "mapped.example.com": ["::ffff:10.0.0.1"],
    "nat.example.com": ["64:ff9b::7f00:1"], "both.example.com": ["93.184.215.14", "10.0.0.1"],
}  # fmt: skip
ALERT = Alert(
    id="a1", organization="1", type="X", key="k", severity=Severity.HIGH, count=1, turn=1, message="m", metadata={},
    state="open", first_at=1, last_at=1,
)  # fmt: skip


async def push(web: Web, url: str) -> object:
    subscription = Subscription.model_validate(Receiver(url).subscription)
    vapid = Vapid(SecretStr(new_vapid_key()), "mailto:ops@example.org")
    if not await Pusher(web, vapid).push(subscription, {"title": "x"}, topic="t"):
        raise BlockedAddressError("the browser is taken for gone")
    return None


#: How each family asks an address that is in a payload, a subscription, a table or a setting.
ASKS: dict[str, Callable[[Web, str], Awaitable[object]]] = {
    "push": push,
    "health": lambda web, url: UrlCheck(url, web).look(),
    "alert to a chat": lambda web, url: by_slack(web, SecretStr(url))("1", ALERT),
    "alert by webhook": lambda web, url: by_webhook(web, SecretStr(url))("1", ALERT),
}


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("family", ASKS)
async def test_a_name_that_leads_inside_is_asked_by_nobody(family: str, host: str) -> None:
    names = Names()
    names.names[host] = [INSIDE[host]]
    async with raw_server(answering(answer())) as server:
        web = Web(resolve=names, timeout=60)
        dialled = outside(web, server.port)
        with pytest.raises(BlockedAddressError):
            await ASKS[family](web, f"https://{host}/x")
    assert (dialled.addresses, server.asked) == ([], [])


@pytest.mark.parametrize("family", ASKS)
async def test_a_redirect_inside_is_followed_by_nobody(family: str) -> None:
    names = Names(inside_example_com=[["10.0.0.1"]])
    for location in ("https://inside.example.com/", "https://169.254.169.254/latest/", "http://127.0.0.1:6379/"):
        async with raw_server(answering(answer(307, location=location))) as server:
            web = Web(resolve=names, plain_http=True, timeout=60)
            dialled = outside(web, server.port)
            with pytest.raises(BlockedAddressError):
                await ASKS[family](web, "http://example.com/x")
        assert [address for address, _ in dialled.addresses] == ["93.184.215.14"]


@pytest.mark.parametrize("platform", CONNECTORS)
async def test_a_platform_is_asked_at_no_private_address_unless_the_operator_named_it(platform: str) -> None:
    """A shop's address is its owner's to write."""
    web = web_of_sync(platform, SyncSettings.load())
    for url in ("https://127.0.0.1/wp-json", "http://example.com/", "https://example.com:8443/", "https://localhost/"):
        with pytest.raises(BlockedAddressError):
            web.examine(url)


def test_an_endpoint_is_public_and_https_unless_the_operator_said_otherwise() -> None:
    strict = web_of_webhooks(WebhooksSettings.load())
    for url in ("https://10.0.0.1/", "http://example.com/", "https://example.com:22/"):
        with pytest.raises(BlockedAddressError):
            strict.examine(url)
    open_ = web_of_webhooks(WebhooksSettings.load(webhook_plain_http=True, webhook_trusted="http://10.0.0.1:9000"))
    assert open_.examine("http://example.com/") == "http://example.com/"
    assert open_.examine("http://10.0.0.1:9000/x") == "http://10.0.0.1:9000/x"
    for url in ("http://10.0.0.1/", "http://10.0.0.2:9000/", "https://10.0.0.1:9000/"):
        with pytest.raises(BlockedAddressError):
            open_.examine(url)
