"""Things that have no business in a queue: keys of the wrong type, hashes that are no jobs, ids with nothing behind."""

import json
import random
from collections.abc import Iterator

from corral.timing import now_ms
from tests.faults.keys import Keys
from tests.faults.redis_books import JUNK

#: Every id that was planted begins so. The books expect nothing of such jobs but that they do not stay in the way.
PREFIX = JUNK

_TYPES: dict[str, tuple[str, ...]] = {
    "text": ("SET", "x"), "list": ("RPUSH", "x"), "set": ("SADD", "x"), "sorted set": ("ZADD", "1", "x"),
    "stream": ("XADD", "*", "x", "y"), "number": ("SET", "17"),
}  # fmt: skip
_GOOD = {"name": "quick", "data": "{}", "opts": "{}", "timestamp": "1700000000000", "delay": "0", "priority": "0"}
_BYTES = bytes(range(256))
_WORDS: tuple[str | bytes, ...] = ("abc", "", "-5", "1e300", "nan", "[", "{}", "[]", "null", "0.5", _BYTES, "9" * 400)
_FIELDS = tuple(
    "name data opts timestamp delay priority ats atm stc rdy exp hold cont slot rjk parent parentKey deid defa cancel "
    "stacktrace progress processedOn finishedOn returnvalue failedReason attemptsMade pb".split()
)
_OPTIONS = (
    '{"attempts":"many"}', '{"backoff":{"type":7}}', '{"backoff":-1}', '{"removeOnComplete":"yes"}', '{"kl":-1}',
    '{"removeOnFail":{"age":"old"}}', '{"parent":7}', '{"corral":{"attempts":-1}}', '{"corral":7}', '{"repeat":1}',
    '{"de":{"id":7}}', "[" * 2_000, '{"attempts":1e400}', '{"delay":"soon","priority":"high"}',
)  # fmt: skip
#: Parts of a job beside its hash.
_PARTS = ("lock", "logs", "dependencies", "processed", "failed", "unsuccessful")


def hashes() -> Iterator[tuple[str, dict[str, str | bytes]]]:
    """Every way to spoil a job's hash."""
    yield "a stranger's fields", {"x": "y"}
    yield "only a name", {"name": "quick"}
    for name in _GOOD:
        yield f"without {name}", {key: value for key, value in _GOOD.items() if key != name}
    for name in _FIELDS:
        for word in _WORDS:
            yield f"{name} = {word[:10]!r}", {**_GOOD, name: word}
    for text in _OPTIONS:
        yield f"opts = {text[:30]}", {**_GOOD, "opts": text}


class Planter:
    """Puts junk into a queue that is at work."""

    def __init__(self, keys: Keys, base: str, own: str, rng: random.Random) -> None:
        self._keys = keys
        self._base = base
        self._own = own
        self._random = rng
        self.planted: list[str] = []

    def everything(self) -> list[str]:
        """Every kind, each as a text that `plant` understands; in any order."""
        kinds = [*self._of_wrong_type(), *self._hashes(), *self._parts(), *self._parents(), *self._without()]
        self._random.shuffle(kinds)
        return kinds

    def plant(self, what: str, *, child: str = "") -> None:
        """Plant one of `everything`; a parent gets this key of a good job for a child."""
        kind, container, detail = what.split("|", 2)
        job_id = f"{PREFIX}{len(self.planted)}"
        self.planted.append(job_id)
        key = f"{self._base}{job_id}"
        if kind == "type":
            command, *rest = _TYPES[detail]
            self._keys.ask(command, key, *rest)
        elif kind == "part":
            self._store(key, dict(_GOOD))
            part, _, of = detail.partition(" ")
            command, *rest = _TYPES[of]
            self._keys.ask(command, f"{key}:{part}", *rest)
        elif kind == "hash":
            self._store(key, dict(hashes())[detail])
        elif kind == "parent":
            part, _, of = detail.partition(" ")
            command, *rest = _TYPES[of]
            self._keys.ask(command, key if part == "itself" else f"{key}:{part}", *rest)
            if child:
                self._keys.ask("HSET", child, "parentKey", key, "parent", self._reference(job_id))
        self._put(container, job_id)

    def _reference(self, job_id: str) -> str:
        return json.dumps({"id": job_id, "queueKey": self._base.removesuffix(":"), "fpof": True})

    def _store(self, key: str, fields: dict[str, str | bytes]) -> None:
        self._keys.ask("HSET", key, *(word for pair in fields.items() for word in pair))

    def _put(self, container: str, job_id: str) -> None:
        match container:
            case "wait" | "active":
                self._keys.ask("LPUSH", f"{self._base}{container}", job_id)
            case "leased":  # as a worker that died with it
                if self._random.random() < 0.5:
                    self._keys.ask("SET", f"{self._base}{job_id}:lock", "somebody", "PX", 1_000)
                self._keys.ask("LPUSH", f"{self._base}active", job_id)
                self._keys.ask("ZADD", f"{self._own}leases", now_ms(), job_id)
            case "delayed":
                self._keys.ask("ZADD", f"{self._base}delayed", now_ms() * 4096, job_id)
            case "prioritized":
                self._keys.ask("ZADD", f"{self._base}prioritized", 4294967296, job_id)
            case _:
                self._keys.ask("ZADD", f"{self._base}{container}", now_ms(), job_id)

    def _place(self) -> str:
        return self._random.choice(("wait", "prioritized", "delayed", "active", "leased"))

    def _of_wrong_type(self) -> Iterator[str]:
        for container in ("wait", "prioritized", "delayed", "active", "leased", "failed", "completed"):
            yield from (f"type|{container}|{name}" for name in _TYPES)

    def _hashes(self) -> Iterator[str]:
        for container in ("wait", "prioritized", "delayed", "active", "leased"):
            yield from (f"hash|{container}|{name}" for name, _ in hashes())

    def _parts(self) -> Iterator[str]:
        for part in _PARTS:  # an active job with a lock is Node's, whatever the lock is like
            places = [self._place() for _ in _TYPES]
            yield from (
                f"part|{'leased' if place == 'active' else place}|{part} {name}"
                for place, name in zip(places, _TYPES, strict=True)
            )

    def _parents(self) -> Iterator[str]:
        for part in ("itself", "dependencies", "processed", "unsuccessful"):
            yield from (f"parent|waiting-children|{part} {name}" for name in _TYPES)

    def _without(self) -> Iterator[str]:
        for container in ("wait", "prioritized", "delayed", "active", "leased", "failed", "completed"):
            yield f"nothing|{container}|"
