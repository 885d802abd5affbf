"""Names for the shell's completion: quick, silent, and nothing rather than an error."""

import asyncio

import click
from click.shell_completion import CompletionItem

from corral.cli.backend.open import reading
from corral.errors import CorralError

PATIENCE = 2.0  #: seconds that somebody waits after the tab key


def known_names(ctx: click.Context, kind: str, typed: str) -> list[CompletionItem]:
    """Names of queues, workers or schedules that begin as typed."""

    async def look() -> list[str]:
        async with asyncio.timeout(PATIENCE), reading() as back:
            return await back.names(kind, typed)

    try:
        with ctx.scope():
            return [CompletionItem(name) for name in asyncio.run(look())]
    except (CorralError, click.ClickException, TimeoutError, OSError):
        return []  # a message in the middle of the line that is being typed would help nobody
