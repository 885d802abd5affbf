"""How the server is: version, persistence, eviction, memory, latency. Where it does not tell, nothing is said."""

import statistics
import time
from collections.abc import Iterator, Mapping

from corral.errors import CorralError
from corral.storage.insight import Engine
from corral.storage.redis.checks import SAFE
from corral.storage.redis.connection import Server
from corral.storage.redis.link import Command, Reply
from corral.storage.redis.versions import judged
from corral.storage.vital import Vital, fill, size
from corral.timing import now_ms

SKEW_MS = 250  #: of clocks: leases and delays are counted by the server's, logs by this machine's
SLOW_MS = 20.0  #: of a call there and back: a worker makes one for each batch
CALLS = 5
_CONFIG = "set it with CONFIG SET and in the server's configuration"


async def vitals(server: Server) -> list[Vital]:
    """What INFO, CONFIG and the clock tell. Raises: StorageUnavailableError."""
    info: dict[str, str] = {}
    for section in ("server", "clients", "memory", "persistence"):
        info |= _lines(await _ask(server, ("INFO", section)))
    pauses = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await server.commands(("PING",))
        pauses.append((time.perf_counter() - began) * 1000)
    fsync = _setting(await _ask(server, ("CONFIG", "GET", "appendfsync")))
    saves = _setting(await _ask(server, ("CONFIG", "GET", "save")))
    latency = statistics.median(pauses)
    return [
        _version(info, server),
        Vital(
            "latency", f"{latency:.1f} ms a call", "put workers and server closer together" if latency > SLOW_MS else ""
        ),
        *await _clock(server),
        *_clients(info),
        *_access(server, await _ask(server, ("ACL", "WHOAMI"))),
        *_eviction(info),
        *_memory(info),
        *_persistence(info, fsync, saves),
    ]


async def engine(server: Server) -> Engine:
    """What INFO tells, in numbers. Raises: StorageUnavailableError."""
    await server.commands(("PING",))  # a user without the right to ask for more must not hide that nobody is there
    info: dict[str, str] = {}
    for section in ("server", "memory", "stats"):
        info |= _lines(await _ask(server, ("INFO", section)))
    version = info.get("valkey_version") or info.get("redis_version") or ".".join(map(str, server.version))
    return Engine(
        kind="redis", version=version, memory_bytes=_number(info, "used_memory"),
        memory_limit_bytes=_number(info, "maxmemory"), evicted_keys=_number(info, "evicted_keys"),
        eviction_policy=info.get("maxmemory_policy", ""),
    )  # fmt: skip


def _number(info: Mapping[str, str], key: str) -> int | None:
    return int(info[key]) if info.get(key, "").isdigit() else None


def _version(info: Mapping[str, str], server: Server) -> Vital:
    if "valkey_version" in info:
        return judged("Valkey", info["valkey_version"])
    return judged("Redis", info.get("redis_version") or ".".join(map(str, server.version)))


async def _clock(server: Server) -> list[Vital]:
    # The server looked at its clock somewhere between these two: what lies between them is nobody's error.
    before = now_ms()
    answer = await _ask(server, ("TIME",))
    after = now_ms()
    match answer:
        case [bytes() as seconds, bytes() as micros]:
            there = int(seconds) * 1_000 + int(micros) // 1_000
            skew = max(0, before - there, there - after)
            text = f"the server's clock and this machine's are {skew / 1000:.3g} s apart"
            return [Vital("clock", text, "let both follow the network's time (NTP)" if skew > SKEW_MS else "")]
    return []


def _clients(info: Mapping[str, str]) -> Iterator[Vital]:
    used, most = int(info.get("connected_clients") or 0), int(info.get("maxclients") or 0)
    if used and most:
        yield fill(
            "clients", f"{used:,} of {most:,} connections", used, most, "raise maxclients, or find who opens so many"
        )


def _access(server: Server, user: Reply) -> Iterator[Vital]:
    """Whether anybody on the network may do everything."""
    place = server.place
    near = all(isinstance(one, str) or is_near(one[0]) for one in place.addresses)
    if user is None:
        return
    if place.password or near:
        how = "a password" if place.password else "no password, on this machine only"
        yield Vital("access", f"{how}{', TLS' if place.tls else ''}")
        return
    yield Vital(
        "access", f"{place} needs no password: whoever reaches it may do everything",
        f"requirepass, or a user with ACL SETUSER: {_CONFIG}",
    )  # fmt: skip


def is_near(host: str) -> bool:
    """Whether an address is this machine's own."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _eviction(info: Mapping[str, str]) -> Iterator[Vital]:
    policy = info.get("maxmemory_policy")
    if policy == SAFE:
        yield Vital("eviction", f"{SAFE}: full memory refuses new jobs and throws none away")
    elif policy:
        limited = info.get("maxmemory", "0") != "0"
        yield Vital(
            "eviction", f"maxmemory-policy {policy} throws jobs away when memory is full",
            f"maxmemory-policy {SAFE}: {_CONFIG}", limited,
        )  # fmt: skip


def _memory(info: Mapping[str, str]) -> Iterator[Vital]:
    if "used_memory" not in info:
        return
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    if not limit:
        yield Vital("memory", f"{size(used)}, without a limit (maxmemory)")
        return
    yield fill(
        "memory", f"{size(used)} of {size(limit)}", used, limit,
        "raise maxmemory, or keep finished jobs for a shorter time: corral jobs clean",
    )  # fmt: skip


def _persistence(info: Mapping[str, str], fsync: str | None, saves: str | None) -> Iterator[Vital]:
    if "aof_enabled" not in info:
        return
    broken = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"]
    if broken:
        yield Vital("persistence", f"the server cannot save: {', '.join(broken)}", "see its log and its disk", True)
    elif info["aof_enabled"] == "1":
        yield Vital("persistence", "append-only file" + (f", fsync {fsync}" if fsync else ""))
    else:
        what = (
            "nothing is saved: a restart loses everything"
            if saves == ""
            else "snapshots only: a crash loses what came after the last one"
        )
        yield Vital("persistence", what, f"appendonly yes: {_CONFIG}")


async def _ask(server: Server, command: Command) -> Reply:
    """A user without the right to ask learns nothing, which is no trouble."""
    try:
        [answer] = await server.commands(command)
    except CorralError:
        return None
    return answer


def _lines(answer: Reply) -> dict[str, str]:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, mark, value in pairs if mark}


def _setting(answer: Reply) -> str | None:
    match answer:
        case [bytes(), bytes() as value]:
            return value.decode(errors="replace")
    return None
