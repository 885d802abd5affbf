"""A test's keys as a whole: written down, put back under another prefix, checked against the layout's invariants."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

import redis.asyncio

#: One key: its type, its value (JSON-able), and how many ms it has left, -1 for ever.
Dump: TypeAlias = dict[str, list[Any]]

#: Stands for the prefix inside values: parents and children are named by their full keys.
PLACEHOLDER = "{prefix}"

#: Given back to keys that had a time to live: locks, limits, deduplication. No test runs that long.
TTL_MS = 600_000

LISTS = ("wait", "active", "paused")
SETS = ("prioritized", "delayed", "waiting-children", "completed", "failed")
CONTAINERS = (*LISTS, *SETS)
SUB_KEYS = ("lock", "logs", "dependencies", "processed", "failed", "unsuccessful")
QUEUE_KEYS = frozenset(
    (
        *CONTAINERS,
        *"pc marker id events meta stalled stalled-check limiter repeat".split(),
        *(f"metrics:{state}{rest}" for state in ("completed", "failed") for rest in ("", ":data")),
    )
)


class Keys:
    """The keys under one prefix, and corral's own beside them."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str) -> None:
        self.client: Any = client  # its types know neither `decode_responses` nor that it is the asynchronous one
        self.prefix = prefix

    async def names(self) -> list[str]:
        """Every key of BullMQ's layout, without the prefix."""
        start = len(self.prefix) + 1
        return sorted([name[start:] async for name in self.client.scan_iter(f"{self.prefix}:*", count=1000)])

    async def expired(self) -> None:
        """Wait until no lock and no throttle of the stalled check is left: for those that were given a millisecond."""
        while any(  # noqa: ASYNC110 # a key that expires tells nobody
            name.endswith((":lock", ":stalled-check")) for name in await self.names()
        ):
            await asyncio.sleep(0.001)

    async def clear(self) -> None:
        """Delete them all."""
        for pattern in (f"{self.prefix}:*", f"corral:{self.prefix}:*"):
            names = [name async for name in self.client.scan_iter(pattern, count=1000)]
            if names:
                await self.client.delete(*names)

    # -- dumps -------------------------------------------------------------------------------------------------------

    async def dump(self) -> Dump:
        """All keys with their values, as they are."""
        read = [(name, await self._read(f"{self.prefix}:{name}")) for name in await self.names()]
        return {name: value for name, value in read if value is not None}

    async def _read(self, key: str) -> list[Any] | None:
        kind = await self.client.type(key)
        if kind == "none":  # a throttle that has expired since its name was read
            return None
        readers: Mapping[str, Any] = {
            "string": lambda: self.client.get(key),
            "list": lambda: self.client.lrange(key, 0, -1),
            "hash": lambda: self.client.hgetall(key),
            "set": lambda: self.client.smembers(key),
            "zset": lambda: self.client.zrange(key, 0, -1, withscores=True),
            "stream": lambda: self.client.xrange(key),
        }
        value = await readers[kind]()
        value = sorted(value) if kind == "set" else value
        text = json.dumps(value).replace(self.prefix, PLACEHOLDER)
        return [kind, json.loads(text), await self.client.pttl(key)]

    async def load(self, dump: Dump) -> None:
        """Write a dump under this prefix, with plain commands."""
        text = json.dumps(dump).replace(PLACEHOLDER, self.prefix)
        async with self.client.pipeline(transaction=False) as pipe:
            for name, (kind, value, ttl) in json.loads(text).items():
                key = f"{self.prefix}:{name}"
                if kind == "string":
                    pipe.set(key, value)
                elif kind == "list":
                    pipe.rpush(key, *value)
                elif kind == "hash":
                    pipe.hset(key, mapping=value)
                elif kind == "set":
                    pipe.sadd(key, *value)
                elif kind == "zset":
                    pipe.zadd(key, dict(value))
                else:
                    for entry_id, fields in value:
                        pipe.xadd(key, fields, id=entry_id)
                if ttl >= 0:
                    pipe.pexpire(key, TTL_MS)
            await pipe.execute()

    # -- what must always hold ---------------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """The queues that have at least a setting or a job."""
        return sorted({name.rpartition(":")[0] for name in await self.names() if name.endswith((":meta", ":id"))})

    async def ids(self, queue: str) -> dict[str, list[str]]:
        """The ids in each container of a queue."""
        base = f"{self.prefix}:{queue}"
        found = {name: await self.client.lrange(f"{base}:{name}", 0, -1) for name in LISTS}
        return found | {name: await self.client.zrange(f"{base}:{name}", 0, -1) for name in SETS}

    async def faults(self, queue: str, *, idle: bool = False) -> list[str]:
        """What is wrong with a queue's keys; with `idle`, also what only running jobs may have."""
        held = await self.ids(queue)
        places = Counter(job_id for ids in held.values() for job_id in ids)
        faults = [f"{job_id} is in {number} places" for job_id, number in places.items() if number > 1]
        mine = [name[len(queue) + 1 :] for name in await self.names() if name.startswith(f"{queue}:")]
        hashes = {name for name in mine if name in places}
        faults += [f"{job_id} has no hash" for job_id in places if job_id not in hashes]
        # A job's hash without a place, or what belongs to a job without the job.
        faults += [f"{name} belongs to nobody" for name in mine if not _at_home(name, hashes)]
        if idle:
            faults += [f"{name} is left" for name in mine if name.endswith(":lock") or name == "active"]
        return faults


def _at_home(name: str, hashes: set[str]) -> bool:
    job_id, _, part = name.rpartition(":")
    if name in QUEUE_KEYS or name in hashes or (part in SUB_KEYS and job_id in hashes):
        return True
    # `repeat:<scheduler>` is a definition, `repeat:<scheduler>:<ms>` one of its jobs.
    return name.startswith(("de:", "dn:")) or re.fullmatch(r"repeat:[^:]+", name) is not None
