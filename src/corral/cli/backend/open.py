"""Opening the back end that the options mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from corral.cli.backend.port import Backend
from corral.cli.settings import load_settings
from corral.cli.shared import Globals
from corral.cli.store import open_url, store_url, with_prefix
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

        async with Remote(
            chosen.api, chosen.token, timeout=flags.timeout, reason=flags.reason, verbose=flags.verbose
        ) as remote:
            yield remote
        return
    async with direct(chosen, create=create, app=app, reason=flags.reason) as store:
        yield store


@asynccontextmanager
async def direct(
    chosen: Target, *, create: bool = False, app: bool = False, reason: str = ""
) -> AsyncIterator[Backend]:
    """The store itself, whatever else is there."""
    from corral.cli.backend.direct import Direct

    settings = load_settings(app=chosen.app, url=chosen.url)
    loaded = None
    if chosen.app is not None and (app or settings.url is None):
        from corral.cli.load import load_app  # 60 ms: only where an application is named

        loaded = load_app(chosen.app)
        loaded.url = with_prefix(store_url(settings, loaded), chosen.prefix)
        loaded_url = loaded.url
    else:
        loaded_url = with_prefix(store_url(settings), chosen.prefix)
    async with open_url(loaded_url, loaded, create=create) as storage:
        yield Direct(storage, loaded_url, app=loaded, reason=reason)
