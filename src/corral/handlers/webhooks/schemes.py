"""How services sign what they send: a table, and one way to check every line of it.

A signature is made over the bytes that came, never over what they were parsed into: JSON written anew is another text.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from pydantic import SecretStr

from corral.errors import ConfigError, CorralError
from corral.handlers.webhooks.signing import digest, key_of

Algorithm = Literal["sha256", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]
#: What a secret may be given as: one, or several while they are being changed.
Secrets = str | SecretStr | Sequence[str | SecretStr]

_SECONDS = re.compile(r"[0-9]{1,12}")
_STRIPE = re.compile(r"([a-z0-9]{1,8})=([^,]*)")
#: Beyond this a header is not looked at: an honest one holds two or three signatures.
_MOST_SIGNATURES = 20
_SHORTEST = 8


class SignatureError(CorralError):
    """A delivery that does not prove where it comes from. The message is for the log, not for its sender."""


class Scheme(Struct, frozen=True, kw_only=True):
    """One line of the table.

    `signed` is what the signature is over: `{body}`, and where the service has them `{timestamp}` and `{id}`.
    """

    platform: str
    signature: str  #: the header it comes in
    signed: str = "{body}"
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""  #: what stands before the signature
    timestamp: str = ""  #: the header with the time, in seconds; without one a delivery has no age
    id: str = ""  #: the header with the delivery's id
    event: str = ""  #: the header with the kind of event; without one it is looked for in the payload
    fields: tuple[str, ...] = ("type",)  #: where in the payload, as dotted paths: the first that is a text
    form: Literal["one", "stripe", "list"] = "one"  #: how several signatures stand in the header
    binary_secret: bool = False  #: the secret is base64 behind `whsec_`

    @property
    def id_is_signed(self) -> bool:
        return "{id}" in self.signed


SHOPIFY = Scheme(
    platform="shopify", signature="x-shopify-hmac-sha256", encoding="base64", id="x-shopify-webhook-id",
    event="x-shopify-topic",
)  # fmt: skip
STRIPE = Scheme(platform="stripe", signature="stripe-signature", signed="{timestamp}.{body}", form="stripe")
GITHUB = Scheme(
    platform="github", signature="x-hub-signature-256", prefix="sha256=", id="x-github-delivery",
    event="x-github-event",
)  # fmt: skip
SLACK = Scheme(
    platform="slack", signature="x-slack-signature", signed="v0:{timestamp}:{body}", prefix="v0=",
    timestamp="x-slack-request-timestamp", fields=("event.type", "type", "command"),
)  # fmt: skip
STANDARD = Scheme(
    platform="standard", signature="webhook-signature", signed="{id}.{timestamp}.{body}", encoding="base64",
    prefix="v1,", timestamp="webhook-timestamp", id="webhook-id", form="list", binary_secret=True,
)  # fmt: skip


class Source(Struct, frozen=True, kw_only=True):
    """Somebody who sends webhooks: how they sign, with what, and whom their deliveries are for."""

    scheme: Scheme
    secrets: tuple[SecretStr, ...]
    tolerance: float = 300.0  #: seconds that a signed timestamp may be off, either way
    organization_id: str | None = None
    integration_id: str | None = None

    def __repr__(self) -> str:
        return f"<Source {self.scheme.platform} with {len(self.secrets)} secrets>"


class Proof(Struct, frozen=True):
    """What a delivery proved."""

    signature: str
    id: str  #: the delivery's, "" when it has none
    timestamp: str


def shopify(secrets: Secrets, *, organization_id: str | None = None, integration_id: str | None = None) -> Source:
    """A Shopify shop or app. Raises: ConfigError, as all of these do, for a secret that is none."""
    return source(SHOPIFY, secrets, organization_id=organization_id, integration_id=integration_id)


def stripe(
    secrets: Secrets, *, tolerance: float = 300.0, organization_id: str | None = None, integration_id: str | None = None
) -> Source:
    """A Stripe account."""
    return source(STRIPE, secrets, tolerance=tolerance, organization_id=organization_id, integration_id=integration_id)


def github(secrets: Secrets, *, organization_id: str | None = None, integration_id: str | None = None) -> Source:
    """A GitHub repository, organization or app."""
    return source(GITHUB, secrets, organization_id=organization_id, integration_id=integration_id)


def slack(
    secrets: Secrets, *, tolerance: float = 300.0, organization_id: str | None = None, integration_id: str | None = None
) -> Source:
    """A Slack app: events, commands and buttons."""
    return source(SLACK, secrets, tolerance=tolerance, organization_id=organization_id, integration_id=integration_id)


def standard(
    secrets: Secrets, *, platform: str = "standard", tolerance: float = 300.0, organization_id: str | None = None,
    integration_id: str | None = None,
) -> Source:  # fmt: skip
    """Anybody who follows Standard Webhooks, corral's own deliveries among them."""
    return source(
        _named(STANDARD, platform), secrets, tolerance=tolerance, organization_id=organization_id,
        integration_id=integration_id,
    )  # fmt: skip


def generic(
    secrets: Secrets, *, header: str, platform: str = "generic", algorithm: Algorithm = "sha256",
    encoding: Encoding = "hex", prefix: str = "", signed: str = "{body}", timestamp_header: str = "",
    id_header: str = "", event_header: str = "", event_fields: Sequence[str] = ("type", "event"),
    tolerance: float = 300.0, organization_id: str | None = None, integration_id: str | None = None,
) -> Source:  # fmt: skip
    """Anybody who signs with an HMAC in a header.

    Args:
        signed: what is signed, of `{body}`, `{timestamp}` and `{id}`.
        event_fields: where in the payload the kind of event is, unless `event_header` has it.
    """
    scheme = Scheme(
        platform=platform, signature=header.lower(), signed=signed, algorithm=algorithm, encoding=encoding,
        prefix=prefix, timestamp=timestamp_header.lower(), id=id_header.lower(), event=event_header.lower(),
        fields=tuple(event_fields),
    )  # fmt: skip
    return source(scheme, secrets, tolerance=tolerance, organization_id=organization_id, integration_id=integration_id)


def source(
    scheme: Scheme, secrets: Secrets, *, tolerance: float = 300.0, organization_id: str | None = None,
    integration_id: str | None = None,
) -> Source:  # fmt: skip
    """A source by a scheme of your own. Raises: ConfigError."""
    given = [secrets] if isinstance(secrets, str | SecretStr) else list(secrets)
    made = tuple(one if isinstance(one, SecretStr) else SecretStr(one) for one in given)
    if not made:
        raise ConfigError(f"{scheme.platform} webhooks need a secret", key="secrets")
    for secret in made:
        if len(secret.get_secret_value().strip()) < _SHORTEST:
            raise ConfigError(
                f"a secret of {scheme.platform} webhooks has fewer than {_SHORTEST} characters: anybody could guess it",
                key="secrets",
            )
        if scheme.binary_secret:
            key_of(secret.get_secret_value())
    if not 0 < tolerance <= 3_600:
        raise ConfigError(f"tolerance must be above 0 and at most an hour, not {tolerance:g} s", key="tolerance")
    if not scheme.signature or "{body}" not in scheme.signed:
        raise ConfigError("a signature has a header, and what is signed contains {body}", key="scheme")
    for word, header in (("{timestamp}", scheme.timestamp), ("{id}", scheme.id)):
        if word in scheme.signed and not header and scheme.form != "stripe":
            raise ConfigError(f"what is signed contains {word}: say in which header it comes", key="scheme")
    return Source(
        scheme=scheme, secrets=made, tolerance=tolerance, organization_id=organization_id,
        integration_id=integration_id,
    )  # fmt: skip


def verify(source: Source, headers: Mapping[str, str], body: bytes, now_ms: int) -> Proof:
    """Check a delivery. `headers` are in lower case.

    Every signature is compared with that of every secret, in a time that does not depend on where they differ.

    Raises:
        SignatureError: it has no signature, none that fits, or one that is too old or from the future.
    """
    scheme = source.scheme
    header = headers.get(scheme.signature, "")
    if not header:
        raise SignatureError(f"no {scheme.signature} header")
    timestamp, given = _given(scheme, headers, header)
    identity = headers.get(scheme.id, "") if scheme.id else ""
    if "{timestamp}" in scheme.signed and not _SECONDS.fullmatch(timestamp):
        raise SignatureError("no timestamp")
    if scheme.id_is_signed and not identity:
        raise SignatureError(f"no {scheme.id} header")
    signed = _signed(scheme.signed, timestamp, identity, body)
    fits = False
    for secret in source.secrets:
        expected = _expected(scheme, secret, signed)
        for one in given:
            fits |= hmac.compare_digest(expected, one)
    if not fits:
        raise SignatureError("the signature does not fit")
    if "{timestamp}" in scheme.signed and abs(now_ms / 1000 - int(timestamp)) > source.tolerance:
        raise SignatureError(f"signed at {timestamp}, more than {source.tolerance:g} s from now")
    return Proof(header, identity, timestamp)


def _given(scheme: Scheme, headers: Mapping[str, str], header: str) -> tuple[str, list[bytes]]:
    """The timestamp and the signatures that came, as bytes. Raises: SignatureError."""
    timestamp = headers.get(scheme.timestamp, "") if scheme.timestamp else ""
    if scheme.form == "stripe":
        pairs = _STRIPE.findall(header)[: 2 * _MOST_SIGNATURES]
        timestamp = next((value for name, value in pairs if name == "t"), "")
        found = [value for name, value in pairs if name == "v1"]
    else:
        several = header.split(" ") if scheme.form == "list" else [header]
        found = [one.removeprefix(scheme.prefix) for one in several if one.startswith(scheme.prefix)]
    if not found:
        raise SignatureError(f"the {scheme.signature} header has no signature of the expected form")
    return timestamp, [one.encode("utf-8", "surrogatepass") for one in found[:_MOST_SIGNATURES]]


def _signed(template: str, timestamp: str, identity: str, body: bytes) -> bytes:
    """The template filled in, in one pass: what is put in is not looked into again."""
    words = {"{body}": body, "{timestamp}": timestamp.encode(), "{id}": identity.encode("utf-8", "surrogatepass")}
    return b"".join(words.get(part, part.encode()) for part in re.split(r"(\{body\}|\{timestamp\}|\{id\})", template))


def _expected(scheme: Scheme, secret: SecretStr, signed: bytes) -> bytes:
    text = secret.get_secret_value()
    made = digest(key_of(text) if scheme.binary_secret else text.encode(), signed, scheme.algorithm)
    return base64.b64encode(made) if scheme.encoding == "base64" else made.hex().encode()


def _named(scheme: Scheme, platform: str) -> Scheme:
    return Scheme(**{name: getattr(scheme, name) for name in scheme.__struct_fields__} | {"platform": platform})
