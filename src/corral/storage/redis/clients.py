"""Workers by the names of their connections, which BullMQ gives them: `prefix:queue in base64:w:name`."""

import binascii
from base64 import b64decode
from collections.abc import Iterator

from corral.errors import CorralError
from corral.storage.client import Client
from corral.storage.redis.connection import Server

#: What follows the queue: nothing, or the worker's name.
_NAMED = ":w:"


async def clients(server: Server, prefix: str) -> list[Client] | None:
    """Who waits for jobs; None when the server does not let this user see that."""
    try:
        [answer] = await server.commands(("CLIENT", "LIST", "TYPE", "normal"))
    except CorralError:
        return None
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    return list(parsed(text, prefix))


def parsed(text: str, prefix: str) -> Iterator[Client]:
    """The workers in what CLIENT LIST answers: a line for each connection, `id=3 addr=10.1.2.4:5 name=…`."""
    for line in text.splitlines():
        fields = dict(part.partition("=")[::2] for part in line.split(" "))
        base, mark, worker = fields.get("name", "").removeprefix(f"{prefix}:").partition(_NAMED)
        queue = _queue(base) if fields.get("name", "").startswith(f"{prefix}:") else None
        if queue is None or (mark and not worker):
            continue
        age, library = fields.get("age", ""), " ".join(filter(None, (fields.get("lib-name"), fields.get("lib-ver"))))
        yield Client(
            queue=queue, name=worker, address=fields.get("addr", ""), connected_s=int(age) if age.isdigit() else 0,
            library=library,
        )  # fmt: skip


def _queue(base: str) -> str | None:
    """The queue of a name; None for other names, such as those of connections that read events."""
    try:
        return b64decode(base, validate=True).decode() or None
    except (binascii.Error, UnicodeDecodeError):
        return None
