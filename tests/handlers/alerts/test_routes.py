"""The ways an alert goes: mail, a job, a chat's webhook and one of the application's own."""

import base64
import json

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from corral.app.app import Corral
from corral.errors import ConfigError
from corral.handlers.alerts import (
    Alert,
    AlertSettings,
    Severity,
    by_job,
    by_mail,
    by_slack,
    by_webhook,
    facts,
    headline,
)
from corral.handlers.alerts.routes import routes_for
from corral.handlers.email import preview
from corral.handlers.kit.mail import Mail
from corral.handlers.kit.web import BlockedAddressError, RefusedError, Web
from corral.testing import added, app_in_memory
from corral.timing import now_ms

ALERT = Alert(
    id="a1", organization="456", type="DATA_ANOMALY", key="revenue", severity=Severity.HIGH, count=3, turn=1,
    message="Revenue <dropped> & more", metadata={"change": -50}, state="open", first_at=1_700_000_000_000,
    last_at=1_700_000_060_000,
)  # fmt: skip
SECRET = "whsec_" + base64.b64encode(b"a secret of 24 characters").decode()


def trusting(server: HTTPServer) -> Web:
    return Web(trusted=[server.url_for("").rstrip("/")])


async def test_a_mail_says_how_bad_it_is_and_what() -> None:
    sent: list[tuple[str, Mail]] = []

    async def send(id: str, mail: Mail) -> None:
        sent.append((id, mail))

    await by_mail(send, ["ops@example.org", "cto@example.org"])("alert-1", ALERT)
    [(id, mail)] = sent
    assert (id, mail.to, mail.subject) == (
        "alert-1", ("ops@example.org", "cto@example.org"), "HIGH: Data anomaly (3 times)",
    )  # fmt: skip
    html, text = preview(mail.template, mail.data)
    assert "Revenue &lt;dropped&gt; &amp; more" in html
    assert "Revenue <dropped> & more" in text


async def test_a_job_is_added_once_for_an_id() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("chat").job("post-message")
    async def post(data: dict[str, str]) -> None:
        """Posted elsewhere."""

    tell = by_job(app.queues["chat"], "post-message", lambda alert: {"text": headline(alert)})
    async with app_in_memory(app):
        for _ in range(2):
            await tell("alert-1", ALERT)
        [job] = await added(app)
    assert job.id == "alert-1"


async def test_a_chat_gets_text_that_mentions_nobody(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/services/T/B/x").respond_with_data("ok")
    await by_slack(trusting(httpserver), SecretStr(httpserver.url_for("/services/T/B/x")))("alert-1", ALERT)
    [(request, _)] = httpserver.log
    assert json.loads(request.get_data()) == {
        "text": "*HIGH: Data anomaly (3 times)*\nRevenue &lt;dropped&gt; &amp; more"
    }


async def test_a_webhook_gets_it_as_json_with_a_signature_that_others_can_check(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    url = SecretStr(httpserver.url_for("/hook"))
    await by_webhook(trusting(httpserver), url, SecretStr(SECRET), clock=now_ms)("alert-1", ALERT)
    [(request, _)] = httpserver.log
    told = Webhook(SECRET).verify(request.get_data(), {name.lower(): value for name, value in request.headers.items()})
    assert told == {"type": "alert", "id": "alert-1", "data": facts(ALERT)}
    assert facts(ALERT)["lastAt"] == "2023-11-14T22:14:20Z"


async def test_without_a_secret_it_is_not_signed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    await by_webhook(trusting(httpserver), SecretStr(httpserver.url_for("/hook")))("alert-1", ALERT)
    [(request, _)] = httpserver.log
    assert "webhook-signature" not in request.headers


async def test_a_webhook_that_is_gone_is_said_without_its_address(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook/canary").respond_with_data(status=410)
    with pytest.raises(RefusedError) as caught:
        await by_webhook(trusting(httpserver), SecretStr(httpserver.url_for("/hook/canary")))("alert-1", ALERT)
    assert "canary" not in str(caught.value)


async def test_an_address_inside_of_the_network_is_not_gone_to() -> None:
    with pytest.raises(BlockedAddressError):
        await by_slack(Web(), SecretStr("https://169.254.169.254/latest"))("alert-1", ALERT)


def test_settings_make_routes_by_severity() -> None:
    async def send(id: str, mail: Mail) -> None:
        """To nobody."""

    settings = AlertSettings.load(
        alerts_mail_to="ops@example.org, cto@example.org", alerts_slack_url="https://hooks.slack.example/x",
        alerts_webhook_url="https://app.example/hook", alerts_webhook_secret=SECRET,
        alerts_escalate_to="ceo@example.org", alerts_escalate_minutes=5,
    )  # fmt: skip
    found = [(one.name, one.at_least.value, one.after) for one in routes_for(settings, send, Web())]
    assert found == [
        ("mail", "MEDIUM", 0), ("slack", "HIGH", 0), ("webhook", "HIGH", 0), ("escalation", "CRITICAL", 300),
    ]  # fmt: skip


def test_addresses_without_a_way_to_mail_are_refused() -> None:
    with pytest.raises(ConfigError, match="need a way to send mail"):
        routes_for(AlertSettings.load(alerts_mail_to="ops@example.org"), None, Web())


def test_a_secret_that_is_none_is_refused_without_showing_it() -> None:
    settings = AlertSettings.load(alerts_webhook_url="https://app.example/hook", alerts_webhook_secret="canary!")
    with pytest.raises(ConfigError, match="ALERTS_WEBHOOK_SECRET must be base64") as caught:
        routes_for(settings, None, Web())
    assert "canary" not in f"{caught.value} {settings!r}"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS_MAIL_TO", "ops@example.org,cto@example.org")
    monkeypatch.setenv("ALERTS_MAIL_FROM", "HIGH")
    settings = AlertSettings.load()
    assert (settings.alerts_mail_to, settings.alerts_mail_from) == (("ops@example.org", "cto@example.org"), "HIGH")
