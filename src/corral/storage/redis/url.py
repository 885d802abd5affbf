"""Redis URLs: which servers, which of their shapes, whose password, and under which prefix the keys live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from corral.errors import ConfigError, closest
from corral.storage.redis.slots import has_tag

#: Host and port, or the path of a unix socket.
Address: TypeAlias = tuple[str, int] | str

SHAPES = (
    "redis://[user:password@]host:6379/0, rediss:// for TLS, redis+unix:///path, "
    "redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379"
)
PORT = 6379
SENTINEL_PORT = 26379
PREFIX = "bull"  #: BullMQ's own, so that both sides meet without a setting
PATIENCE = 10.0
_COMMON = ("prefix", "db", "timeout")
_TLS = ("ca", "cert", "key", "verify")
_SENTINEL = ("sentinel_user", "sentinel_password")


class Mode(Enum):
    """How the servers behind a URL belong together."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Tls:
    """What `rediss://` may add. `verify=False` accepts any certificate: the line is private, its end unknown."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """What a Redis URL says."""

    addresses: tuple[Address, ...]
    mode: Mode = Mode.STANDALONE
    service: str = ""  #: the name under which the sentinels know the master
    db: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: Tls | None = None
    prefix: str = PREFIX
    patience: float = PATIENCE  #: seconds that a call insists before it is given up

    def __str__(self) -> str:
        return ", ".join(shown(address) for address in self.addresses)

    @property
    def shown(self) -> str:
        """The place as a URL without secrets."""
        base = "rediss" if self.tls else "redis"
        if isinstance(self.addresses[0], str):
            return f"{base}+unix://{self.addresses[0]}?db={self.db}&prefix={self.prefix}"
        shape = "" if self.mode is Mode.STANDALONE else f"+{self.mode.value}"
        path = "/".join(word for word in (self.service, "" if self.mode is Mode.CLUSTER else str(self.db)) if word)
        hosts = ",".join(shown(address) for address in self.addresses)
        return f"{base}{shape}://{hosts}/{path}?prefix={self.prefix}"


def shown(address: Address) -> str:
    """An address as people write it."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_redis(scheme: str) -> bool:
    """Whether a URL scheme is one of this engine's."""
    return scheme.partition("+")[0] in ("redis", "rediss", "valkey", "valkeys")


def parse(url: str) -> Place:
    """Read `redis://user:password@host:6379/0?prefix=bull&timeout=10` and its relatives.

    Raises:
        ConfigError: another shape, or a setting that does not exist.
    """
    parts = urlsplit(url)
    base, _, shape = parts.scheme.partition("+")
    if not is_redis(base) or shape not in ("", "unix", "sentinel", "cluster"):
        raise ConfigError(f"unknown URL scheme {parts.scheme!r}; use {SHAPES}", key="url")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = (unquote(word) for word in credentials.partition(":"))
    secure = base in ("rediss", "valkeys")
    known = _COMMON + (_TLS if secure else ()) + (_SENTINEL if shape == "sentinel" else ())
    settings = _settings(parts.query, known)
    addresses, rest = _addresses(shape, hosts, unquote(parts.path))
    service, database = _path(shape, rest)
    mode = Mode(shape) if shape in ("sentinel", "cluster") else Mode.STANDALONE
    prefix = settings.get("prefix", PREFIX)
    _check_prefix(prefix, mode)
    return Place(
        addresses=addresses,
        mode=mode,
        service=service,
        db=_database(settings.get("db", database), mode),
        user=user,
        password=password,
        sentinel_user=settings.get("sentinel_user", ""),
        sentinel_password=settings.get("sentinel_password", ""),
        tls=_tls(settings) if secure else None,
        prefix=prefix,
        patience=_patience(settings.get("timeout", str(PATIENCE))),
    )


def _settings(query: str, known: tuple[str, ...]) -> dict[str, str]:
    settings = dict(parse_qsl(query, keep_blank_values=True))
    for key in settings:
        if key in known:
            continue
        if key in _TLS:
            raise ConfigError(f"the URL setting {key!r} is for TLS; use rediss:// with it", key=key)
        near = closest(key, known)
        way_out = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
        raise ConfigError(f"unknown URL setting {key!r}; {way_out}", key=key)
    return settings


def _addresses(shape: str, hosts: str, path: str) -> tuple[tuple[Address, ...], str]:
    if shape == "unix":
        if hosts or len(path) < 2:
            raise ConfigError("a unix socket is written redis+unix:///path/of/the.sock?db=0", key="url")
        return (path,), ""
    default = SENTINEL_PORT if shape == "sentinel" else PORT
    addresses = tuple(_address(host, default) for host in hosts.split(","))
    if len(addresses) > 1 and not shape:
        raise ConfigError(f"redis:// names one server, not {len(addresses)}; use {SHAPES}", key="url")
    return addresses, path


def _address(text: str, default: int) -> Address:
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ConfigError(f"port must be a number from 1 to 65535, not {port!r}", key="url")
    return host or "localhost", int(port) if port else default


def _path(shape: str, path: str) -> tuple[str, str]:
    """The service of a sentinel URL, and the number of the database."""
    path = path.strip("/")
    if shape != "sentinel":
        return "", path or "0"
    service, _, database = path.partition("/")
    if not service:
        raise ConfigError(
            "the sentinels' name of the master is missing: redis+sentinel://host:26379/mymaster", key="url"
        )
    return service, database or "0"


def _database(text: str, mode: Mode) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"db must be a number, not {text!r}", key="db")
    if mode is Mode.CLUSTER and int(text):
        raise ConfigError(f"a cluster has only database 0, not {text}", key="db")
    return int(text)


def _check_prefix(prefix: str, mode: Mode) -> None:
    if not prefix or not prefix.isprintable() or " " in prefix:
        raise ConfigError(f"prefix must be printable and without spaces, not {prefix!r}", key="prefix")
    if mode is Mode.CLUSTER and not has_tag(prefix):
        raise ConfigError(
            f"on a cluster the keys must live in one slot: write the prefix in braces, prefix={{{prefix}}}",
            key="prefix",
        )


def _patience(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.1 <= seconds <= 3600:
        raise ConfigError(f"timeout must be seconds from 0.1 to 3600, not {text!r}", key="timeout")
    return seconds


def _tls(settings: Mapping[str, str]) -> Tls:
    verify = settings.get("verify", "yes")
    if verify not in ("yes", "no"):
        raise ConfigError(f"verify must be yes or no, not {verify!r}", key="verify")
    cert, key = settings.get("cert"), settings.get("key")
    if key and not cert:
        raise ConfigError("a client key needs its certificate: add cert=/path/of/client.pem", key="cert")
    return Tls(settings.get("ca"), cert, key, verify == "yes")
