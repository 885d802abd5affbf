"""Vectors: kept in the application's database, and searched by how alike they are.

All numbers are looked at in plain Python, about 20,000 vectors of 1,536 numbers in a second: right for some ten
thousand texts. For more, take a database that has an index for it.
"""

import asyncio
import hashlib
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import mul

import sqlalchemy as sa
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.ai.tables import SCHEMA, embeddings
from corral.handlers.kit.database import Database
from corral.timing import Clock, now_ms

#: Rows read at once while searching.
PAGE = 1_000


class Match(Struct, frozen=True):
    """A text that was found, and how alike it is: 1 for the same direction, 0 for nothing in common."""

    id: str
    text: str
    score: float


class Vectors:
    """The vectors of an application. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self._database = database
        self._clock = clock

    async def known(self, collection: str, model: str, texts: Iterable[tuple[str, str]]) -> set[str]:
        """The ids of those `(id, text)` that are there with this very text, made by this model."""
        wanted = dict(texts)
        table = embeddings.c
        query = sa.select(table.id, table.text).where(table.collection == collection, table.model == model)
        found: set[str] = set()
        async with self._database.connect() as connection:
            for some in _in_pages(list(wanted)):
                rows = await connection.execute(query.where(table.id.in_(some)))
                found |= {row.id for row in rows if row.text == wanted[row.id]}
        return found

    async def put(
        self, collection: str, model: str, texts: Sequence[tuple[str, str]], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Keep vectors, each in place of an earlier one of its id."""
        rows = [
            {
                "collection": collection, "id": id, "text": text, "model": model, "dimensions": len(vector),
                "vector": packed(vector), "stored_at": self._clock(),
            }
            for (id, text), vector in zip(texts, vectors, strict=True)
        ]  # fmt: skip
        async with self._database.begin() as connection:
            await self._database.upsert(connection, embeddings, rows, key=["collection", "id"])

    async def search(
        self, collection: str, vector: Sequence[float], *, model: str | None = None, limit: int = 10,
        minimum: float = 0.0,
    ) -> list[Match]:  # fmt: skip
        """The texts most like `vector`, the best first: at most `limit`, none below `minimum`.

        Vectors of another length are passed over; name the `model` where a collection has several.

        Raises:
            ConfigError: a vector without a direction.
        """
        wanted = array("f", normal(vector))
        table = embeddings.c
        query = sa.select(table.id, table.vector).where(table.collection == collection, table.dimensions == len(wanted))
        if model is not None:
            query = query.where(table.model == model)
        best: list[tuple[float, str]] = []  # the nearest first, and of equally near ones the lower id
        after = ""
        async with self._database.connect() as connection:
            while True:
                page = query.where(table.id > after).order_by(table.id).limit(PAGE)
                rows = [(row.id, row.vector) for row in await connection.execute(page)]
                if not rows:
                    break
                after = rows[-1][0]
                # In a thread: a thousand vectors are 50 ms, in which the worker must go on renewing leases.
                scored = await asyncio.to_thread(_scores, wanted, rows, minimum)
                best = nsmallest(limit, best + scored)
            texts = await connection.execute(
                sa.select(table.id, table.text).where(
                    table.collection == collection, table.id.in_([id for _, id in best])
                )
            )
            text_of = {row.id: row.text for row in texts}
        return [Match(id, text_of[id], round(-distance, 6)) for distance, id in best if id in text_of]

    async def remove(self, collection: str, ids: Sequence[str] | None = None) -> int:
        """Remove some vectors of a collection, or all; answers how many."""
        async with self._database.begin() as connection:
            if ids is None:
                return (
                    await connection.execute(sa.delete(embeddings).where(embeddings.c.collection == collection))
                ).rowcount
            removed = 0
            for some in _in_pages(ids):
                chosen = sa.delete(embeddings).where(embeddings.c.collection == collection, embeddings.c.id.in_(some))
                removed += (await connection.execute(chosen)).rowcount
            return removed


def text_id(text: str) -> str:
    """The id of a text that has none of its own."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def packed(vector: Sequence[float]) -> bytes:
    """A vector of length 1, as it is stored. Raises: ConfigError when it has no direction."""
    numbers = array("f", normal(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def normal(vector: Sequence[float]) -> list[float]:
    """A vector of length 1. Raises: ConfigError when it has no direction."""
    length = math.sqrt(sum(map(mul, vector, vector)))
    if not vector or not math.isfinite(length) or length == 0:
        raise ConfigError("a vector must have a direction: its numbers are all 0, or not finite", key="vector")
    return [number / length for number in vector]


def unpacked(content: bytes) -> Sequence[float]:
    """A vector as it was stored."""
    numbers = array("f")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _scores(wanted: Sequence[float], rows: Sequence[tuple[str, bytes]], minimum: float) -> list[tuple[float, str]]:
    scored = ((sum(map(mul, wanted, unpacked(content))), id) for id, content in rows)
    return [(-score, id) for score, id in scored if score >= minimum]


def _in_pages(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + 500] for start in range(0, len(ids), 500))
