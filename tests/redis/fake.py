"""A server that says what a test wants it to say."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Self

from hiredis import Reader

HELLO = b"*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$%d\r\n%s\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"


def hello(version: str = "7.2.0") -> bytes:
    """The answer to HELLO of a master of this version."""
    return HELLO % (len(version), version.encode())


class FakeServer:
    """Answers each command with what `answers` (name -> bytes, or a function of how often it came) has for it, or OK.

    None as an answer is silence; b"" hangs up.
    """

    def __init__(self, **answers: bytes | Callable[[int], bytes | None] | None) -> None:
        self.answers = {"HELLO": hello(), "INFO": b"$0\r\n\r\n", "CONFIG": b"*0\r\n", **answers}
        self.seen: Counter[str] = Counter()
        self.commands: list[list[str]] = []
        self.port = 0
        self.open = 0  #: connections
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        parser = Reader(notEnoughData=None)
        try:
            while data := await reader.read(65_536):
                parser.feed(data)
                while (words := parser.gets()) is not None:
                    if not self._answer([word.decode(errors="replace") for word in words], writer):
                        return
                await writer.drain()
        except ConnectionError:
            return
        finally:
            self.open -= 1
            writer.transport.abort()

    def _answer(self, words: list[str], writer: asyncio.StreamWriter) -> bool:
        name = words[0].upper()
        self.seen[name] += 1
        self.commands.append(words)
        answer = self.answers.get(name, b"+OK\r\n")
        said = answer(self.seen[name]) if callable(answer) else answer
        if said:
            writer.write(said)
        return said != b""
