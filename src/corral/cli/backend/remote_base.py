"""What the parts of the remote back end share: lists over all their pages."""

from typing import Protocol

from corral.cli.backend.client import Client
from corral.cli.backend.remote_rows import Json, items, of
from corral.cli.backend.remote_rows import table as table

PAGE = 500


class Parts(Protocol):
    """What `Remote` has, as its mixins see it."""

    client: Client


async def everything(client: Client, path: str, *, most: int = 100_000, **query: object) -> list[Json]:
    """All items of a list, page by page."""
    found: list[Json] = []
    cursor: object = None
    while len(found) < most:
        answer = await client.get(path, limit=min(PAGE, most - len(found)), cursor=cursor, **query)
        found += items(answer)
        cursor = of(answer, "page").get("next")
        if cursor is None:
            break
    return found
