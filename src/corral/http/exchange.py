"""One request and its answer: the parts of it that routes, guard, log and metrics share."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.types import Scope

from corral.http.auth.known import trusted
from corral.http.auth.recognise import PEER
from corral.naming import sortable_id
from corral.timing import now_ms

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]{2,45})(?:%[^\]]*)?\](?::\d{1,5})?")
_HOST = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?", re.IGNORECASE)


def request_id(scope: Scope) -> str:
    """The id that the client gave the request, if it may stand in a log line; else a new one."""
    given = header(scope, b"x-request-id")
    return given if _ID.fullmatch(given) else sortable_id(now_ms())


def header(scope: Scope, name: bytes) -> str:
    """A header's value; "" when it is not there once."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def seen_through(scope: Scope, networks: tuple[IPv4Network | IPv6Network, ...]) -> Scope:
    """The scope as the client sent it: a trusted proxy tells from where, by which scheme and for which host.

    Whoever is no trusted proxy may send these headers too; then they are not read.
    """
    client = scope.get("client")
    peer = client[0] if client else ""
    made: dict[str, object] = {**scope, PEER: peer}
    if not networks or not trusted(peer, networks):
        return made
    hops = [address_in(part) for part in _joined(scope, b"x-forwarded-for").split(",") if part.strip()]
    # From the right: what stands before the last address that is no proxy of ours was written by somebody else.
    origin = next((hop for hop in reversed(hops) if hop is None or not trusted(hop, networks)), None)
    if origin is not None:
        made["client"] = (origin, 0)
    scheme = header(scope, b"x-forwarded-proto").lower()
    if scheme in ("http", "https"):
        made["scheme"] = scheme
    host = header(scope, b"x-forwarded-host")
    if _HOST.fullmatch(host):
        kept = [(key, value) for key, value in scope["headers"] if key != b"host"]
        made["headers"] = [*kept, (b"host", host.encode("latin-1"))]
    return made


def address_in(hop: str) -> str | None:
    """The address of a hop, which some proxies write with its port: `192.0.2.7:4711`, `[2001:db8::7]:4711`.

    None when it is none (`unknown`, `_hidden`): then nobody knows what stands before it.
    """
    text = hop.strip().strip('"')
    found = _BRACKETED.fullmatch(text)
    if found is not None:
        text = found[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _joined(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def host_of(scope: Scope) -> str:
    """The name the client asked for, without the port, in lower case; "" when it is none."""
    host = header(scope, b"host")
    if not _HOST.fullmatch(host):
        return ""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name.lower().rstrip(".")


def serves(host: str, allowed: Iterable[str]) -> bool:
    """Whether a host name is one of these; `*.example.com` is every name below it."""
    return any(host == name.lower() or (name.startswith("*.") and host.endswith(name[1:].lower())) for name in allowed)
