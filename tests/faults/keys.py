"""Looking at a server's keys with a client that is not corral's: every answer as text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from redis import Redis

SLICE = 5_000


class Keys:
    """A connection to look with. Bytes that are no text are shown as such."""

    def __init__(self, url: str) -> None:
        """`url` may have corral's own settings after a question mark."""
        base = url.partition("?")[0]
        self._db: Any = Redis.from_url(base, decode_responses=True, encoding_errors="backslashreplace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._db.close()

    def ask(self, *words: str | bytes | int) -> Any:
        """Any command."""
        return self._db.execute_command(*words)

    def like(self, pattern: str) -> Iterator[str]:
        """Every key of this pattern, once."""
        seen: set[str] = set()
        for key in self._db.scan_iter(pattern, 2_000):
            if key not in seen:
                seen.add(key)
                yield key

    def members(self, key: str) -> list[str]:
        """A list from its head; a sorted set's or a set's members too."""
        match self._db.type(key):
            case "list":
                return list(self._db.lrange(key, 0, -1))
            case "zset":
                return list(self._db.zrange(key, 0, -1))
            case "set":
                return list(self._db.smembers(key))
        return []

    def scored(self, key: str) -> dict[str, float]:
        """A sorted set's members and their scores; nothing for any other key."""
        return dict(self._db.zrange(key, 0, -1, withscores=True)) if self._db.type(key) == "zset" else {}

    def hash(self, key: str) -> dict[str, str]:
        """All fields of a hash; nothing for any other key."""
        return dict(self._db.hgetall(key)) if self._db.type(key) == "hash" else {}

    def now_ms(self) -> int:
        """What time it is on the server."""
        seconds, micros = self._db.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def field(self, key: str, name: str) -> str | None:
        """One field of a hash."""
        found: str | None = self._db.hget(key, name)
        return found

    def text(self, key: str) -> str | None:
        """A plain value."""
        found: str | None = self._db.get(key)
        return found

    def fields(self, keys: Sequence[str], names: Sequence[str]) -> list[tuple[str | None, ...]]:
        """These fields of many hashes; nothing for a key that is no hash."""
        answers: list[tuple[str | None, ...]] = []
        for start in range(0, len(keys), SLICE):
            pipe = self._db.pipeline(transaction=False)
            for key in keys[start : start + SLICE]:
                pipe.hmget(key, names)
            found = pipe.execute(raise_on_error=False)
            answers += [tuple(one) if isinstance(one, list) else (None,) * len(names) for one in found]
        return answers

    def lifetimes(self, keys: Iterable[str]) -> list[tuple[str, int]]:
        """Each key and its milliseconds to live; -1 for ever, -2 gone."""
        keys = list(keys)
        pipe = self._db.pipeline(transaction=False)
        for key in keys:
            pipe.pttl(key)
        return list(zip(keys, pipe.execute(), strict=True))

    def stream(self, key: str) -> Iterator[dict[str, str]]:
        """Every entry of a stream."""
        last = "-"
        while entries := self._db.xrange(key, last, "+", count=SLICE):
            last = f"({entries[-1][0]}"
            yield from (entry for _, entry in entries)
