"""Whom settings name: tokens and users that are written down, scrapers, and what a trusted proxy says."""

import base64
import binascii
import hashlib
import hmac
from ipaddress import ip_address

from msgspec import Struct
from starlette.requests import HTTPConnection

from corral.admin.rights import Principal, check_role
from corral.errors import ConfigError
from corral.http.auth.claims import roles_of
from corral.http.auth.passwords import Hashed, read_hash
from corral.http.settings import ApiSettings, Network


class StaticToken(Struct, frozen=True):
    """A token of the settings: only what it hashes to is kept."""

    name: str
    role: str
    digest: bytes


class User(Struct, frozen=True):
    """Somebody who logs in by name and password."""

    name: str
    role: str
    password: Hashed


def digest(text: str) -> bytes:
    """What is kept of a token and compared: 256 random bits need no salt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def read_tokens(text: str) -> tuple[StaticToken, ...]:
    """`name:role:token, …`. Raises: ConfigError, which names the entry and never shows the token."""
    found = []
    for name, role, token in _triples(text, "tokens"):
        if len(token) < 20:
            raise ConfigError(f"the token of {name!r} in tokens must have at least 20 characters", key="tokens")
        found.append(StaticToken(name, role, digest(token)))
    return tuple(found)


def read_users(text: str) -> tuple[User, ...]:
    """`name:role:hash, …`. Raises: ConfigError, which names the entry and never shows the hash."""
    return tuple(User(name, role, read_hash(hashed)) for name, role, hashed in _triples(text, "users"))


def secrets_of(text: str, what: str) -> list[tuple[str, str]]:
    """The names and secrets of `name:role:secret, …`. Raises: ConfigError."""
    return [(name, secret) for name, _, secret in _triples(text, what)]


def _triples(text: str, what: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for number, entry in enumerate((part.strip() for part in text.split(",")), 1):
        if not entry:
            continue
        name, _, rest = entry.partition(":")
        role, _, secret = rest.partition(":")
        if not name or not role or not secret:
            raise ConfigError(f"entry {number} of {what} must be name:role:secret", key=what)
        if any(name == known for known, _, _ in found):
            raise ConfigError(f"{what} names {name!r} twice", key=what)
        found.append((name, check_role(role), secret))
    return found


def find_static(tokens: tuple[StaticToken, ...], clear: str) -> StaticToken | None:
    """The token of the settings that this is. All are compared, each in constant time."""
    shown, found = digest(clear), None
    for one in tokens:
        if hmac.compare_digest(one.digest, shown):
            found = one
    return found


def by_basic(settings: ApiSettings, header: str) -> Principal | None:
    """The scraper whose name and password HTTP Basic gives."""
    if settings.metrics_password is None:
        return None
    try:
        name, _, password = base64.b64decode(header.partition(" ")[2], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    right_name = hmac.compare_digest(digest(name), digest(settings.metrics_user))
    right = hmac.compare_digest(digest(password), digest(settings.metrics_password.get_secret_value()))
    return Principal(sub=settings.metrics_user, roles=("scraper",), method="basic") if right_name and right else None


def trusted(peer: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address belongs to a proxy whose headers are believed."""
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def by_proxy(settings: ApiSettings, request: HTTPConnection, peer: str) -> Principal | None:
    """Whom a trusted proxy has let in. Without its secret the headers are anybody's, and nothing is read in them."""
    secret = settings.proxy_secret
    if secret is None or not trusted(peer, settings.trusted_proxies):
        return None
    shown = request.headers.get(settings.proxy_secret_header, "")
    if not hmac.compare_digest(digest(shown), digest(secret.get_secret_value())):
        return None
    names = request.headers.getlist(settings.proxy_user_header)
    if len(names) != 1:  # of two, one is not the proxy's
        return None
    name = names[0].strip()
    if not name.isprintable() or not 0 < len(name) <= 200:
        return None
    groups = ",".join(request.headers.getlist(settings.proxy_groups_header))
    words = [part.strip() for part in groups.split(",") if part.strip()]
    roles = roles_of(words, settings.role_map, settings.default_role)
    return Principal(sub=name, roles=roles, method="proxy")
