"""Contradictions between the keys of a queue: listed ids without a job, locks of jobs that nobody runs."""

from collections.abc import Iterator, Sequence

from corral.storage.flaw import Defect, Flaw
from corral.storage.redis.connection import Server
from corral.storage.redis.link import Command, Reply

LISTS = ("wait", "paused", "active")
SETS = ("prioritized", "delayed", "waiting-children", "completed", "failed")
#: Ids of each state that are looked at, the newest, and keys that are looked through for locks, over all queues.
LOOKED, KEYS, STEP = 1_000, 200_000, 1_000
#: Events of a queue that are too many (10,000 are kept), and the newest BullMQ whose layout is known.
EVENTS, KEPT, BULLMQ = 100_000, 10_000, 6
#: Ids and locks are looked at again inside the server before they go: a worker may have been faster.
_DROP = (
    "if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end "
    "if redis.call('TYPE', KEYS[1]).ok == 'list' then return redis.call('LREM', KEYS[1], 0, ARGV[1]) end "
    "return redis.call('ZREM', KEYS[1], ARGV[1])"
)
_FREE = (
    "for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do if id == ARGV[1] then return 0 end end "
    "return redis.call('DEL', KEYS[2])"
)


async def flaws(server: Server, prefix: str, queues: Sequence[str]) -> list[Flaw]:
    """Look through these queues. Raises: StorageUnavailableError."""
    found: list[Flaw] = []
    for queue in queues:
        orphans = await _orphans(server, f"{prefix}:{queue}:")
        if orphans:
            where = {state: len(ids) for state, ids in orphans.items()}
            ids = [one for some in orphans.values() for one in some]
            found.append(
                Flaw(defect=Defect.ORPHAN, queue=queue, count=len(ids), where=where, ids=tuple(map(_text, ids[:10])))
            )
        found += await _looks(server, queue, f"{prefix}:{queue}:")
    for queue, locked in (await _locks(server, prefix, queues)).items():
        ids = [job_id for job_id in locked if not await _runs(server, f"{prefix}:{queue}:", job_id)]
        if ids:
            found.append(Flaw(defect=Defect.LOCK, queue=queue, count=len(ids), ids=tuple(map(_text, ids[:10]))))
    return found


async def _orphans(server: Server, base: str) -> dict[str, list[bytes]]:
    """Ids that a state lists and that have no job, by state."""
    asked: list[Command] = [("LRANGE", base + state, -LOOKED, -1) for state in LISTS]
    asked += [("ZREVRANGE", base + state, 0, LOOKED - 1) for state in SETS]
    orphans: dict[str, list[bytes]] = {}
    for state, reply in zip((*LISTS, *SETS), await server.commands(*asked), strict=True):
        ids = [one for one in _list(reply) if not one.startswith(b"0:")]  # BullMQ 5's marker is no job
        if not ids:
            continue
        there = await server.commands(*(("EXISTS", base.encode() + one) for one in ids))
        gone = [one for one, exists in zip(ids, there, strict=True) if not exists]
        if gone:
            orphans[state] = gone
    return orphans


async def _looks(server: Server, queue: str, base: str) -> list[Flaw]:
    """Events that nobody has cut, and a BullMQ that nobody knows."""
    length, version = await server.commands(("XLEN", base + "events"), ("HGET", base + "meta", "version"))
    found = []
    if isinstance(length, int) and length > EVENTS:
        found.append(Flaw(defect=Defect.LOG, queue=queue, count=length))
    words = version.decode(errors="replace") if isinstance(version, bytes) else ""
    major = words.rpartition(":")[2].partition(".")[0]
    if words.startswith("bullmq") and major.isdigit() and int(major) > BULLMQ:
        found.append(Flaw(defect=Defect.STRANGER, queue=queue, count=1, text=words))
    return found


async def _locks(server: Server, prefix: str, queues: Sequence[str]) -> dict[str, list[bytes]]:
    """Ids of jobs that have a lock, by queue; as far as the keys are looked through."""
    bases = {f"{prefix}:{queue}:".encode(): queue for queue in queues}
    found: dict[str, list[bytes]] = {}
    cursor, seen = b"0", 0
    while seen < KEYS:
        [reply] = await server.commands(("SCAN", cursor, "MATCH", _escaped(prefix) + ":*:lock", "COUNT", STEP))
        assert isinstance(reply, list)
        next_cursor, keys = reply
        assert isinstance(next_cursor, bytes)
        for base, job_id in _split(_list(keys)):
            if base in bases:
                found.setdefault(bases[base], []).append(job_id)
        cursor, seen = next_cursor, seen + STEP
        if cursor == b"0":
            break
    return found


def _split(keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for key in keys:
        base, colon, job_id = key.removesuffix(b":lock").rpartition(b":")
        yield base + colon, job_id


async def _runs(server: Server, base: str, job_id: bytes) -> bool:
    [place] = await server.commands(("LPOS", base + "active", job_id))
    return place is not None


async def mend(server: Server, prefix: str, flaw: Flaw) -> bool:
    """Put one of them right, as far as it is still there; whether anything changed. Raises: StorageUnavailableError."""
    base = f"{prefix}:{flaw.queue}:"
    changed: list[Reply] = []
    if flaw.defect is Defect.ORPHAN:
        for state, ids in (await _orphans(server, base)).items():
            for one in ids:
                changed += await server.commands(("EVAL", _DROP, 2, base + state, base.encode() + one, one))
    elif flaw.defect is Defect.LOCK:
        for one in (await _locks(server, prefix, [flaw.queue])).get(flaw.queue, []):
            if not await _runs(server, base, one):
                key = base.encode() + one + b":lock"
                changed += await server.commands(("EVAL", _FREE, 2, base + "active", key, one))
    elif flaw.defect is Defect.LOG:
        changed += await server.commands(("XTRIM", base + "events", "MAXLEN", "~", KEPT))
    return any(isinstance(one, int) and one > 0 for one in changed)


def _list(reply: Reply) -> list[bytes]:
    return [one for one in reply if isinstance(one, bytes)] if isinstance(reply, list) else []


def _text(job_id: bytes) -> str:
    return job_id.decode(errors="replace")


def _escaped(prefix: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in prefix)
