"""Which addresses on the Internet are anybody's: everything else is refused, whatever name led to it."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx2

from corral.handlers.kit.answers import BlockedAddressError, WebError, short

#: Turns a name and a port into IP addresses.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
#: Longer ones are nobody's.
MAX_URL = 8_000
PORTS = frozenset({80, 443})

#: IANA's registry of special addresses, what clouds answer their machines on, and what is not unicast. Written out
#: because `is_global` means another list in every release of Python.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 "
        "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4".split(),
    )
)
#: Only 2000::/3 is given out for the public; of it, these are not, or they lead to an IPv4 address that hides in them.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(IPv6Network, "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 3ffe::/16".split())
)
#: Names that never lead outside.
_INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa", "localdomain")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the Internet may be at."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    return ip.scope_id is None and ip in _PUBLIC_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def parse(text: str) -> httpx2.URL:
    """A URL with a scheme and a host. Raises: BlockedAddressError, which shows neither a password nor the query."""
    if len(text) > MAX_URL:
        raise BlockedAddressError(f"a URL of {len(text):,} characters is too long, the most is {MAX_URL:,}")
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        raise BlockedAddressError(f"{_readable(text)} is not a URL") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise BlockedAddressError(f"{_readable(text)} is not an address on the web: it must begin with https://")
    if url.userinfo or "\\" in text:
        raise BlockedAddressError(f"a URL of {url.host!r} has a user, a password or a backslash in it: leave them out")
    return url


def origin(url: httpx2.URL) -> str:
    """Scheme, host and port, the port always written: what two URLs share that lead to the same server."""
    port = url.port if url.port is not None else {"https": 443, "http": 80}[url.scheme]
    host = url.raw_host.decode("ascii").rstrip(".")
    return f"{url.scheme}://[{host}]:{port}" if ":" in host else f"{url.scheme}://{host}:{port}"


def examine(url: httpx2.URL, *, plain_http: bool, ports: Collection[int] = PORTS) -> None:
    """Refuse what can be seen to be no public address, before any name is looked up. Raises: BlockedAddressError."""
    host = url.raw_host.decode("ascii").rstrip(".")
    if url.scheme != "https" and not plain_http:
        raise BlockedAddressError(f"{short(str(url))} is not https, and plain http is not allowed here")
    port = url.port if url.port is not None else {"https": 443, "http": 80}[url.scheme]
    if port not in ports:
        allowed = " and ".join(map(str, sorted(ports)))
        raise BlockedAddressError(f"port {port} of {host!r} is not gone to, only {allowed} are")
    if _is_ip(host):
        if not is_public(host):
            raise BlockedAddressError(f"{host} is not a public address")
    elif _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise BlockedAddressError(f"{host!r} is an IP address in a form that programs read differently")
    elif not _NAME.fullmatch(host) or any(host == name or host.endswith(f".{name}") for name in _INSIDE):
        raise BlockedAddressError(f"{host!r} is not a public name")


def _is_ip(host: str) -> bool:
    try:
        IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return False
    return True


async def look_up(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises: WebError when it knows no such name."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise WebError(f"the name {host!r} cannot be resolved") from None
    return list(dict.fromkeys(str(where[0]) for _, _, _, _, where in found))


async def public_addresses(host: str, port: int, resolve: Resolve) -> Sequence[str]:
    """Where a host is, every address of it checked.

    One that is not public condemns the others: an honest name does not mix them.

    Raises:
        BlockedAddressError: one of them is not public. WebError: it has none.
    """
    host = host.rstrip(".")
    found = [host] if _is_ip(host) else list(await resolve(host, port))
    if not found:
        raise WebError(f"the name {host!r} has no address")
    for address in found:
        if not is_public(address):
            raise BlockedAddressError(f"{host!r} leads to {address}, which is not a public address")
    return found


def _readable(text: str) -> str:
    return repr(short(text))
