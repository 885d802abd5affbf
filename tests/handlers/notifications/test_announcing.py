"""Announcements to services that the operator configured."""

import json

import pytest
from pytest_httpserver import HTTPServer

from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.notifications import NotificationSettings, NotTakenError, bundle
from corral.signals import Discard
from corral.storage.port import Storage
from tests.handlers.desk import Desk

TOKEN = "canary1token"
NEWS = {"title": "Deployed", "message": "v1 is <b>out</b>", "level": "success"}


def desk(memory: Storage, **settings: object) -> Desk:
    made = NotificationSettings.load(**settings)
    return Desk.of(memory, bundle(made, database=Database("sqlite:///app.db")))


def ntfy(server: HTTPServer, topic: str) -> str:
    return f"ntfy://{server.host}:{server.port}/{topic}"


async def test_an_announcement_reaches_every_service_of_its_audience(memory: Storage, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hooks/secret").respond_with_data("ok")
    httpserver.expect_request("/").respond_with_json({})
    urls = {"ops": [ntfy(httpserver, "alarm"), f"mmost://{httpserver.host}:{httpserver.port}/secret"], "all": []}
    result = await desk(memory, notify_urls=urls).send({**NEWS, "audience": "ops"}, "announce")
    assert (len(result["services"]), result["dryRun"]) == (2, False)
    bodies = {request.path: json.loads(request.get_data()) for request, _ in httpserver.log}
    assert bodies["/"]["topic"] == "alarm"
    assert (bodies["/"]["title"], bodies["/"]["message"]) == ("Deployed", "v1 is <b>out</b>")
    assert "v1 is" in bodies["/hooks/secret"]["text"]


async def test_who_took_it_does_not_hear_it_again_when_another_did_not(memory: Storage, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hooks/good").respond_with_data("ok")
    httpserver.expect_oneshot_request("/hooks/bad").respond_with_data(status=500)
    httpserver.expect_oneshot_request("/hooks/bad").respond_with_data("ok")
    urls = [f"mmost://{httpserver.host}:{httpserver.port}/{name}" for name in ("bad", "good")]
    at = desk(memory, notify_urls={"all": urls})
    ctx = await at.begin(NEWS, "announce")
    with pytest.raises(NotTakenError, match="did not take the announcement for 'all'"):
        await at.run(ctx)
    await at.run(await at.retry(ctx))
    assert sorted(request.path for request, _ in httpserver.log) == ["/hooks/bad", "/hooks/bad", "/hooks/good"]


async def test_while_nothing_is_configured_nothing_is_said(memory: Storage) -> None:
    assert await desk(memory).send(NEWS, "announce") == {"services": [], "dryRun": True}


async def test_an_audience_that_nobody_configured_fails_at_once(memory: Storage) -> None:
    with pytest.raises(Discard, match="audience 'board' is not in NOTIFY_URLS"):
        await desk(memory, notify_urls="ntfy://topic").send({**NEWS, "audience": "board"}, "announce")


@pytest.mark.parametrize(
    "url", ["json://127.0.0.1/x", "dbus://", "syslog://", "mailto://a:b@example.org", "file:///etc/passwd", "nonsense"]
)
def test_an_address_of_a_kind_that_is_not_allowed_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="which NOTIFY_SCHEMAS does not have") as refused:
        NotificationSettings.load(notify_urls=url)
    assert str(refused.value).startswith("notify settings: an address of audience 'all' begins with ")


def test_the_operator_may_allow_others() -> None:
    settings = NotificationSettings.load(notify_urls="json://127.0.0.1/x", notify_schemas="json, ntfy")
    assert settings.notify_schemas == {"json", "ntfy"}


def test_addresses_show_nowhere() -> None:
    settings = NotificationSettings.load(notify_urls=f"ntfy://{TOKEN}@example.org/topic")
    assert TOKEN not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        bundle(NotificationSettings.load(notify_urls=f"slack://{TOKEN}"), database=Database("sqlite:///app.db"))
    assert str(caught.value) == "an address of audience 'all' in NOTIFY_URLS cannot be read"


def test_the_environment_has_a_list_or_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URLS", "ntfy://one, ntfy://two?tags=a,b")
    assert [url.get_secret_value() for url in NotificationSettings.load().notify_urls["all"]] == [
        "ntfy://one", "ntfy://two?tags=a,b",
    ]  # fmt: skip
    monkeypatch.setenv("NOTIFY_URLS", '{"ops": ["ntfy://three"]}')
    assert list(NotificationSettings.load().notify_urls) == ["ops"]


@pytest.mark.parametrize(
    "settings",
    [
        {"vapid_private_key": "x"},
        {"vapid_private_key": "x", "vapid_subject": "ops"},
        {"notify_base_url": "app.example"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        NotificationSettings.load(**settings)
