"""Resend, with a real HTTP server in its place."""

import json
import logging
from email.utils import formatdate

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from corral.handlers.email import Attachment, DeliveryError, Message, ResendTransport
from corral.handlers.email.address import Address
from corral.handlers.email.resend import _retry_after
from corral.signals import Discard, Retry

ANN = "ann@example.org"
MESSAGE = Message(
    id="send-email.1.abc@example.com", sender=Address("noreply@example.com", "Team"), to=(Address(ANN, "Ånn, Lee"),),
    cc=(Address("bob@example.org"),), bcc=(Address("eve@example.org"),), reply_to=(Address("help@example.org"),),
    subject="Hellø", text="Hello\n", html="<p>Hello</p>", date=1_700_000_000_000,
    attachments=(Attachment(filename="a.txt", content="aGVsbG8=", content_type="text/plain"),),
)  # fmt: skip
EVERYBODY = (ANN, "bob@example.org", "eve@example.org")
KEY = "send-email/1/0123456789abcdef"


def transport(server: HTTPServer, *, timeout: float = 5.0) -> ResendTransport:
    return ResendTransport(SecretStr("re_canary_1"), url=server.url_for("/"), timeout=timeout)


def answering(server: HTTPServer, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
    server.expect_request("/emails").respond_with_json(body or {}, status=status, headers=headers)


async def test_a_mail_is_posted_with_its_key_and_everything_that_belongs_to_it(httpserver: HTTPServer) -> None:
    answering(httpserver, 200, {"id": "49a3999c"})

    receipt = await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)

    ((request, _),) = httpserver.log
    assert (request.method, request.path) == ("POST", "/emails")
    assert request.headers["Authorization"] == "Bearer re_canary_1"
    assert request.headers["Idempotency-Key"] == KEY
    assert json.loads(request.get_data()) == {
        "from": "Team <noreply@example.com>",
        "to": ['"Ånn, Lee" <ann@example.org>'],
        "cc": ["bob@example.org"],
        "bcc": ["eve@example.org"],
        "reply_to": ["help@example.org"],
        "subject": "Hellø",
        "text": "Hello\n",
        "html": "<p>Hello</p>",
        "headers": {"Auto-Submitted": "auto-generated"},
        "attachments": [{"filename": "a.txt", "content": "aGVsbG8=", "content_type": "text/plain"}],
    }
    assert (receipt.message_id, receipt.accepted, receipt.refused) == ("49a3999c", EVERYBODY, ())


async def test_a_repeated_attempt_is_the_same_request_though_time_has_passed(httpserver: HTTPServer) -> None:
    answering(httpserver, 200, {"id": "49a3999c"})
    later = Message(**{name: getattr(MESSAGE, name) for name in MESSAGE.__slots__} | {"date": 1_800_000_000_000})

    await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)
    await transport(httpserver).send(later, EVERYBODY, KEY)

    first, second = (request for request, _ in httpserver.log)
    assert first.get_data() == second.get_data()


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), ("0.5", 0.5), ("-3", 0.0), ("999999", 3600.0)])
async def test_too_many_requests_are_tried_again_when_the_server_says(
    httpserver: HTTPServer, header: str, seconds: float
) -> None:
    answering(httpserver, 429, {"name": "rate_limit_exceeded", "message": "Slow down"}, {"Retry-After": header})

    with pytest.raises(Retry) as caught:
        await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)

    assert caught.value.after == seconds
    assert "429 rate_limit_exceeded Slow down" in caught.value.reason


def test_the_time_to_wait_may_be_a_date() -> None:
    assert _retry_after(formatdate(0, usegmt=True)) == 0.0
    assert _retry_after("Sun, 06 Nov 2094 08:49:37 GMT") == 3600.0


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf"])
async def test_without_a_time_that_can_be_followed_the_back_off_decides(httpserver: HTTPServer, header: str) -> None:
    answering(httpserver, 429, {"name": "daily_quota_exceeded"}, {"Retry-After": header})

    with pytest.raises(DeliveryError, match="429 daily_quota_exceeded"):
        await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (400, "validation_error", Discard),
        (403, "validation_error", Discard),
        (404, "not_found", Discard),
        (409, "invalid_idempotent_request", Discard),
        (413, "", Discard),
        (422, "invalid_parameter", Discard),
        (400, "invalid_api_key", DeliveryError),
        (401, "missing_api_key", DeliveryError),
        (403, "invalid_api_key", DeliveryError),
        (408, "", DeliveryError),
        (409, "concurrent_idempotent_requests", DeliveryError),
        (500, "application_error", DeliveryError),
        (502, "", DeliveryError),
        (503, "", DeliveryError),
        (302, "", DeliveryError),
    ],
)
async def test_what_the_mail_is_to_blame_for_is_final_and_nothing_else(
    httpserver: HTTPServer, status: int, name: str, error: type[Exception]
) -> None:
    answering(httpserver, status, {"name": name, "message": "Not eve@example.org\r\nat all"})

    with pytest.raises(error, match=f"answered {status} {name} ?Not <address> at all"):
        await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)


async def test_an_answer_that_is_no_json_is_understood_by_its_status(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/emails").respond_with_data("<html>Bad gateway", status=502)

    with pytest.raises(DeliveryError, match=r"answered 502$"):
        await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)


async def test_a_success_without_an_id_is_a_success(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/emails").respond_with_data("", status=200)

    receipt = await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)

    assert receipt.message_id == "<send-email.1.abc@example.com>"


async def test_only_those_who_still_wait_are_named(httpserver: HTTPServer) -> None:
    answering(httpserver, 200, {"id": "1"})

    await transport(httpserver).send(MESSAGE, (ANN,), KEY)

    body = json.loads(httpserver.log[0][0].get_data())
    assert "cc" not in body
    assert "bcc" not in body


async def test_a_server_that_is_not_there_is_worth_a_retry(unused_tcp_port: int) -> None:
    gone = ResendTransport(SecretStr("re_canary_1"), url=f"http://127.0.0.1:{unused_tcp_port}", timeout=5)

    with pytest.raises(DeliveryError, match="failed"):
        await gone.send(MESSAGE, EVERYBODY, KEY)


async def test_a_redirect_does_not_carry_the_key_elsewhere(httpserver: HTTPServer) -> None:
    elsewhere = {"Location": httpserver.url_for("/x")}
    httpserver.expect_request("/emails").respond_with_data("", status=307, headers=elsewhere)

    with pytest.raises(DeliveryError, match="answered 307"):
        await transport(httpserver).send(MESSAGE, EVERYBODY, KEY)

    assert [request.path for request, _ in httpserver.log] == ["/emails"]


async def test_the_key_is_in_no_log_error_or_representation(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(request: Request) -> Response:
        return Response(json.dumps({"name": "x", "message": "no"}), status=401)

    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/emails").respond_with_handler(echo)
    resend = transport(httpserver)

    with pytest.raises(DeliveryError) as caught:
        await resend.send(MESSAGE, EVERYBODY, KEY)

    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r} {resend!r} {vars(resend)} {caplog.text}"


def test_the_key_does_not_travel_in_the_clear() -> None:
    with pytest.raises(ValueError, match="RESEND_URL must begin with https://"):
        ResendTransport(SecretStr("re_1"), url="http://api.resend.example")
