"""Opening the back end that the options mean."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from corral.cli.backend.port import Backend, Draft
from corral.cli.shared import Globals
from corral.cli.store import open_url
from corral.cli.target import Target, target


@asynccontextmanager
async def backend(*, create: bool = False, app: bool = False) -> AsyncIterator[Backend]:
    """The store or API that the options mean. Unless `create`, a file that is not there is an error.

    Args:
        app: the application is wanted wherever one is named: it checks payloads and knows those that it makes itself.
            Without, it is only imported when the store's place is its secret.

    Raises:
        Failure: there is no such file, or nobody answers (exit 3).
    """
    chosen = target()
    flags = click.get_current_context().ensure_object(Globals)
    if chosen.api is not None:
        from corral.cli.backend.remote import Remote  # each back end only for who uses it

        async with Remote(chosen.api, chosen.token, timeout=flags.timeout, reason=flags.reason) as remote:
            yield remote
        return
    async with direct(chosen, create=create, app=app, reason=flags.reason) as store:
        yield store


@asynccontextmanager
async def direct(
    chosen: Target, *, create: bool = False, app: bool = False, reason: str = ""
) -> AsyncIterator[Backend]:
    """The store itself, whatever else is there."""
    from corral.cli.backend.direct import Direct, place

    url, loaded = place(chosen, app=app)
    async with open_url(url, loaded, create=create) as storage:
        yield Direct(storage, url, app=loaded, reason=reason)


def check(queue: str, drafts: Sequence[Draft]) -> None:
    """Whether these jobs could be added, as far as that is known without the store: it is not even made for those not.

    Raises:
        PayloadError, ConfigError: what was given is refused. QueueNotFoundError, UnknownJobError: nobody would run it.
    """
    chosen = target()
    if chosen.api is None:
        from corral.cli.backend.direct import place
        from corral.cli.backend.drafts import new_jobs

        new_jobs(place(chosen, app=True)[1], queue, drafts)
