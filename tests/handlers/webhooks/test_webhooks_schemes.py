"""Signatures of services: against their own libraries and published examples, and forged in every way there is."""

import base64
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks import Webhook, WebhookVerificationError

from corral.errors import ConfigError
from corral.handlers.webhooks import (
    Scheme,
    SignatureError,
    Source,
    generic,
    github,
    shopify,
    sign,
    slack,
    source,
    standard,
    stripe,
    verify,
)

from .senders import NOW, SECRET, SENDERS, STANDARD_SECRET, TIMED, by_slack, by_standard, by_stripe, mac, secret_for

#: No deadline: how long an example takes depends on who else uses the machine.
GENTLY = settings(deadline=None, max_examples=60)


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def made(name: str) -> tuple[Source, dict[str, str], bytes]:
    signed, body, of = SENDERS[name]
    return of(secret_for(name)), lower(signed(body, NOW, SECRET)), body


def accepted(source: Source, headers: dict[str, str], body: bytes, now: float = NOW) -> bool:
    try:
        verify(source, headers, body, round(now * 1000))
    except SignatureError:
        return False
    return True


# -- what services and their libraries say ----------------------------------------------------------------------------


def test_the_example_that_github_publishes_is_accepted() -> None:
    headers = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    assert accepted(github("It's a Secret to Everybody"), headers, b"Hello, World!")


def test_the_example_that_slack_publishes_is_accepted() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
        b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015."
        b"47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    assert accepted(slack("8f742231b10e8888abcd99yyyzzz85a5"), headers, body, 1531420618)


@GENTLY
@given(body=st.binary(max_size=200), at=st.integers(1, 10**10))
def test_slacks_own_library_and_ours_make_the_same_signature(body: bytes, at: int) -> None:
    class At(Clock):
        def now(self) -> float:
            return at

    text = body.decode("utf-8", "replace")
    theirs = SignatureVerifier(SECRET, clock=At())
    headers = by_slack(text.encode(), at)
    assert theirs.is_valid(body=text, timestamp=str(at), signature=headers["X-Slack-Signature"])
    assert accepted(slack(SECRET), lower(headers), text.encode(), at)


@GENTLY
@given(body=st.text(max_size=200), id=st.text(st.characters(codec="ascii", exclude_characters="."), min_size=1))
def test_the_standards_own_library_and_ours_make_the_same_signature(body: str, id: str) -> None:
    theirs = Webhook(STANDARD_SECRET)
    ours = sign(STANDARD_SECRET, id, NOW, body.encode())
    assert ours == by_standard(body.encode(), NOW, SECRET, id)["webhook-signature"]
    headers = {"webhook-id": id, "webhook-timestamp": str(NOW), "webhook-signature": ours}
    assert accepted(standard(STANDARD_SECRET), headers, body.encode())
    assert ours == theirs.sign(id, datetime.fromtimestamp(NOW, UTC), body)


# -- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
def test_what_a_service_signs_is_accepted(name: str) -> None:
    origin, headers, body = made(name)
    proof = verify(origin, headers, body, NOW * 1000)
    assert proof.id == headers.get(origin.scheme.id, "")


@pytest.mark.parametrize("name", SENDERS)
def test_while_a_secret_changes_the_old_and_the_new_one_are_accepted(name: str) -> None:
    signed, body, of = SENDERS[name]
    both = of([secret_for(name, "another-secret"), SecretStr(secret_for(name))])
    assert accepted(both, lower(signed(body, NOW, SECRET)), body)
    assert accepted(both, lower(signed(body, NOW, "another-secret")), body)
    assert not accepted(both, lower(signed(body, NOW, "a-third-secret")), body)


def test_of_several_signatures_one_that_fits_is_enough() -> None:
    _, headers, body = made("stripe")
    good = headers["stripe-signature"].split(",")[1]
    assert accepted(stripe(SECRET), {"stripe-signature": f"t={NOW},v1={'0' * 64},{good}"}, body)
    headers = lower(by_standard(body))
    headers["webhook-signature"] = f"v1a,AAAA v1,AAAA {headers['webhook-signature']}"
    assert accepted(standard(STANDARD_SECRET), headers, body)


@pytest.mark.parametrize("name", TIMED)
def test_five_minutes_either_way_are_accepted_and_no_more(name: str) -> None:
    origin, headers, body = made(name)
    assert accepted(origin, headers, body, NOW + 300)
    assert accepted(origin, headers, body, NOW - 300)
    assert not accepted(origin, headers, body, NOW + 301)
    assert not accepted(origin, headers, body, NOW - 301)


def test_a_scheme_of_ones_own_may_sign_id_and_time_in_any_order() -> None:
    origin = generic(
        SECRET, header="X-Sig", encoding="base64", signed="{id}|{timestamp}|{body}", timestamp_header="X-At",
        id_header="X-Id",
    )  # fmt: skip
    body = b"{id}{timestamp}"
    signature = base64.b64encode(mac(SECRET, b"7|%d|" % NOW + body)).decode()
    headers = {"x-sig": signature, "x-at": str(NOW), "x-id": "7"}
    assert accepted(origin, headers, body)
    assert not accepted(origin, headers | {"x-id": "8"}, body)
    assert not accepted(origin, headers | {"x-at": str(NOW + 1)}, body)


# -- what is forged ---------------------------------------------------------------------------------------------------


def signature_header(origin: Source) -> str:
    return origin.scheme.signature


@pytest.mark.parametrize("name", SENDERS)
def test_another_body_another_secret_or_no_signature_is_refused(name: str) -> None:
    origin, headers, body = made(name)
    header = signature_header(origin)
    signed = SENDERS[name][0]
    assert not accepted(origin, headers, body + b" ")
    assert not accepted(origin, headers, b" " + body)
    assert not accepted(origin, headers, body.replace(b": ", b":"))  # the same JSON, written anew
    assert not accepted(origin, headers, b"")
    assert not accepted(origin, lower(signed(body, NOW, SECRET + "x")), body)
    assert not accepted(origin, lower(signed(body, NOW, "")), body)
    assert not accepted(origin, {k: v for k, v in headers.items() if k != header}, body)
    assert not accepted(origin, {}, body)


@pytest.mark.parametrize("name", SENDERS)
def test_a_signature_in_another_form_is_refused(name: str) -> None:
    origin, headers, body = made(name)
    scheme = origin.scheme
    before = f"t={NOW},v1=" if name == "stripe" else scheme.prefix
    good = headers[scheme.signature].removeprefix(before).removesuffix(",v0=6ffbb59b")
    assert accepted(origin, headers | {scheme.signature: before + good}, body)
    digest = mac(SECRET, body)
    wrong = [
        "", " ", "null", "0", good.swapcase(), good[:-1], good + "0", good + "=", good[::-1], "\x00" + good, "å" + good,
        good[:-2] + "\x00\x00", base64.b64encode(digest[:16]).decode(), digest.hex()[:32], good[: len(good) // 2],
        base64.b64encode(digest).decode() if scheme.encoding == "hex" else digest.hex(), "x" + good,
    ]  # fmt: skip
    headings = [before + one for one in wrong]
    headings += ["", " ", before, "v1,", "v1=", "t=,v1=", "v0=", "sha256=", "v2," + good, "sha1=" + good, "x" + good]
    assert [one for one in headings if accepted(origin, headers | {scheme.signature: one}, body)] == []


@pytest.mark.parametrize("name", SENDERS)
def test_a_single_changed_bit_of_body_or_signature_is_noticed(name: str) -> None:
    origin, headers, body = made(name)
    header = signature_header(origin)
    dice = random.Random(7)
    for _ in range(200):
        place = dice.randrange(len(body))
        changed = body[:place] + bytes([body[place] ^ (1 << dice.randrange(8))]) + body[place + 1 :]
        assert not accepted(origin, headers, changed)
    value = headers[header]
    begin = value.index("v1=") + 3 if name == "stripe" else len(origin.scheme.prefix)
    end = value.index(",v0=") if name == "stripe" else len(value.rstrip("="))
    for place in range(begin, end):
        changed_value = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
        assert not accepted(origin, headers | {header: changed_value}, body)


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("timestamp", ["", "0", "-1", "1e9", "now", " 1760000000", "1760000000.0", "९" * 10, "9" * 13])
def test_a_timestamp_that_is_none_is_refused(name: str, timestamp: str) -> None:
    origin, headers, body = made(name)
    changed = {key: value.replace(str(NOW), timestamp) for key, value in headers.items()}
    assert not accepted(origin, changed, body)


def test_a_timestamp_cannot_be_moved_into_the_body() -> None:
    """`t.body` is one text: without care, `12.3{…}` is what `1.2` with `3{…}` would be."""
    origin, headers, body = made("stripe")
    digest = headers["stripe-signature"].split("v1=")[1].split(",")[0]
    head, tail = str(NOW)[:-1], str(NOW)[-1]
    assert not accepted(origin, {"stripe-signature": f"t={head},v1={digest}"}, tail.encode() + b"." + body, int(head))


def test_a_stripe_signature_of_the_old_kind_alone_is_refused() -> None:
    _, headers, body = made("stripe")
    assert not accepted(stripe(SECRET), {"stripe-signature": headers["stripe-signature"].replace("v1=", "v0=")}, body)


def test_a_header_with_a_thousand_signatures_is_not_worked_through() -> None:
    body = b"{}"
    good = by_stripe(body)["Stripe-Signature"].split(",")[1]
    many = ",".join([f"t={NOW}", *["v1=" + "0" * 64] * 1_000, good])
    assert not accepted(stripe(SECRET), {"stripe-signature": many}, body)


@GENTLY
@given(header=st.text(max_size=200), body=st.binary(max_size=50))
def test_nonsense_is_refused_and_never_anything_else(header: str, body: bytes) -> None:
    for name in SENDERS:
        origin, headers, _ = made(name)
        assert not accepted(origin, headers | {signature_header(origin): header}, body)


def test_the_standards_own_library_refuses_what_we_refuse_and_stumbles_where_we_do_not() -> None:
    body = b"{}"
    headers = {"webhook-id": "m", "webhook-timestamp": str(NOW), "webhook-signature": "v1"}
    with pytest.raises((ValueError, WebhookVerificationError)):
        Webhook(STANDARD_SECRET).verify(body, headers)
    assert not accepted(standard(STANDARD_SECRET), headers, body)


# -- what cannot be meant ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secrets", ["", " ", "short", [], [SECRET, ""], "        "])
@pytest.mark.parametrize("of", [shopify, stripe, github, slack])
def test_a_secret_that_anybody_could_guess_is_refused(secrets: object, of: object) -> None:
    with pytest.raises(ConfigError):
        of(secrets)  # type: ignore[operator]  # one of the four


@pytest.mark.parametrize("secret", ["whsec_", "whsec_====", "whsec_not base64!", "whsec_å"])
def test_a_standard_secret_is_base64(secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        standard(secret)
    assert secret.removeprefix("whsec_") not in str(caught.value) or secret == "whsec_"


def test_a_scheme_that_signs_no_body_is_refused() -> None:
    for wrong in ("{timestamp}", "", "{id}"):
        with pytest.raises(ConfigError):
            generic(SECRET, header="X-Sig", signed=wrong, timestamp_header="X-At", id_header="X-Id")
    with pytest.raises(ConfigError):
        generic(SECRET, header="")
    with pytest.raises(ConfigError, match="in which header"):
        generic(SECRET, header="X-Sig", signed="{timestamp}.{body}")
    with pytest.raises(ConfigError, match="in which header"):
        source(Scheme(platform="x", signature="x", signed="{id}.{body}"), SECRET)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 3_601.0])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(ConfigError):
        stripe(SECRET, tolerance=tolerance)


def test_no_secret_shows() -> None:
    assert SECRET not in repr(stripe(SECRET))
    assert SECRET not in repr(stripe(SECRET).secrets)
