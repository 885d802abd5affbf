"""Pushes as browsers and push services read them."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from corral.errors import ConfigError, PayloadError
from corral.handlers.kit.web import AuthError, BusyError, RefusedError, Web, WebError
from corral.handlers.notifications import Browser, Pusher, Subscription, Vapid, encrypt, new_vapid_key
from corral.handlers.notifications.push import plain
from corral.handlers.notifications.webpush import MAX_PLAIN, base64url, unbase64

from .receiver import Receiver

SUBJECT = "mailto:ops@example.org"


def vapid() -> Vapid:
    return Vapid(SecretStr(new_vapid_key()), SUBJECT)


def subscription(receiver: Receiver) -> Subscription:
    return Subscription.model_validate(receiver.subscription)


# -- encryption --------------------------------------------------------------------------------------------------------


def test_the_example_of_rfc_8291_comes_out_to_the_byte() -> None:
    """Appendix A: the keys, the salt and what they make of the sentence."""
    number = int.from_bytes(unbase64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    keys = {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    }
    browser = Browser.of(Subscription.model_validate({"endpoint": "https://push.example.net/push", "keys": keys}))
    body = encrypt(
        b"When I grow up, I want to be a watermelon", browser, salt=unbase64("DGv6ra1nlYgDCS1FRnbzlw"),
        key=ec.derive_private_key(number, ec.SECP256R1()),
    )  # fmt: skip
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBr"
        "u3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize("length", [0, 1, 100, MAX_PLAIN])
def test_what_is_encrypted_for_a_browser_that_browser_can_read(length: int) -> None:
    receiver, text = Receiver("https://push.example/1"), b"x" * length
    assert receiver.read(encrypt(text, Browser.of(subscription(receiver)))) == text


def test_the_same_message_never_looks_the_same() -> None:
    browser = Browser.of(subscription(Receiver("https://push.example/1")))
    assert encrypt(b"x", browser)[:16] != encrypt(b"x", browser)[:16]


def test_what_does_not_fit_into_one_record_is_refused() -> None:
    browser = Browser.of(subscription(Receiver("https://push.example/1")))
    with pytest.raises(PayloadError, match="3,993 bytes at most"):
        encrypt(b"x" * (MAX_PLAIN + 1), browser)


@pytest.mark.parametrize(
    "keys",
    [
        {"p256dh": "A" * 87, "auth": "BTBZMqHH6r4Tts7J_aSIgg"},
        {"p256dh": base64url(b"\x04" + b"\x01" * 64), "auth": "BTBZMqHH6r4Tts7J_aSIgg"},
        {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "A" * 20,
        },
        {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "!" * 22,
        },
    ],
)
def test_keys_that_no_browser_has_are_refused(keys: dict[str, str]) -> None:
    with pytest.raises(PayloadError, match="not those of a browser"):
        Browser.of(Subscription.model_validate({"endpoint": "https://push.example/1", "keys": keys}))


def test_a_long_message_is_cut_so_that_it_fits_and_stays_json() -> None:
    text = plain({"title": "T" * 200, "body": 'ü"\n' * 2_000, "url": "https://example.org", "kind": "k", "id": "i"})
    assert len(text) <= MAX_PLAIN
    assert json.loads(text)["body"].endswith("…")


def test_what_has_no_room_at_all_is_its_title() -> None:
    text = plain({"title": "T", "body": "b", "url": "https://example.org/" + "ü" * 2_000})
    assert json.loads(text) == {"title": "T", "body": ""}


# -- who sends ---------------------------------------------------------------------------------------------------------


def test_the_sender_signs_for_the_push_service_s_origin_for_half_a_day() -> None:
    sender, now = vapid(), int(time.time())
    header = sender.authorization("https://push.example:8443/send/abc?x=1", now * 1_000)
    scheme, _, rest = header.partition(" ")
    token, key = (part.partition("=")[2] for part in rest.split(", "))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64(key))
    claims = jwt.decode(token, public, algorithms=["ES256"], audience="https://push.example:8443")
    assert (scheme, claims["sub"], claims["exp"] - now) == ("vapid", SUBJECT, 43_200)
    assert key == sender.public_key


def test_a_key_may_be_pem() -> None:
    number = new_vapid_key()
    key = ec.derive_private_key(int.from_bytes(unbase64(number), "big"), ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert Vapid(SecretStr(pem), SUBJECT).public_key == Vapid(SecretStr(number), SUBJECT).public_key


@pytest.mark.parametrize(
    "key", ["", "short", "A" * 43 + "!", base64.b64encode(b"x" * 31).decode(), "-----BEGIN nothing"]
)
def test_a_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="VAPID_PRIVATE_KEY must be a P-256 key") as caught:
        Vapid(SecretStr(key), SUBJECT)
    assert not key or key not in str(caught.value)


# -- the push service --------------------------------------------------------------------------------------------------


async def push(server: HTTPServer, receiver: Receiver, **more: str) -> bool:
    pusher = Pusher(Web(trusted=[server.url_for("").rstrip("/")]), vapid(), ttl=60)
    return await pusher.push(subscription(receiver), {"title": "Hello"}, topic="t" * 40, **more)  # type: ignore[arg-type]


async def test_a_push_goes_to_the_service_that_the_browser_chose(httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver.url_for("/send/abc"))
    httpserver.expect_request("/send/abc", method="POST").respond_with_data(status=201)
    assert await push(httpserver, receiver, urgency="high")
    [(request, _)] = httpserver.log
    assert json.loads(receiver.read(request.get_data())) == {"title": "Hello"}
    assert {name: request.headers[name] for name in ("Content-Encoding", "TTL", "Topic", "Urgency")} == {
        "Content-Encoding": "aes128gcm", "TTL": "60", "Topic": "t" * 32, "Urgency": "high",
    }  # fmt: skip
    assert request.headers["Authorization"].startswith("vapid t=")


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_no_error(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/send/abc").respond_with_data(status=status)
    assert not await push(httpserver, Receiver(httpserver.url_for("/send/abc")))


@pytest.mark.parametrize(
    ("status", "error"), [(429, BusyError), (500, WebError), (413, RefusedError), (403, AuthError), (400, RefusedError)]
)
async def test_what_the_service_says_decides_what_happens(
    httpserver: HTTPServer, status: int, error: type[WebError]
) -> None:
    httpserver.expect_request("/send/abc").respond_with_data(status=status)
    with pytest.raises(error):
        await push(httpserver, Receiver(httpserver.url_for("/send/abc")))


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1/x", "https://169.254.169.254/latest", "http://push.example/x"])
async def test_an_endpoint_inside_of_the_network_is_not_asked(endpoint: str) -> None:
    pusher = Pusher(Web(), vapid())
    assert not await pusher.push(subscription(Receiver(endpoint)), {"title": "Hello"}, topic="t")
