"""Opening the back end that the options mean."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from corral.cli.backend.port import Backend, Draft, Reading
from corral.cli.settings import load_settings
from corral.cli.shared import Globals
from corral.cli.store import Application, open_url, store_url, with_prefix
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
    from corral.app.app import Corral
    from corral.cli.backend.direct import Direct

    url, loaded = _place(chosen, app=app)
    assert loaded is None or isinstance(loaded, Corral)
    async with open_url(url, loaded, create=create) as storage:
        yield Direct(storage, url, app=loaded, reason=flags.reason)


@asynccontextmanager
async def reading() -> AsyncIterator[Reading]:
    """As `backend`, for who only looks: without the application and all that changes jobs, 60 ms sooner."""
    chosen = target()
    if chosen.api is not None:
        async with backend() as remote:
            yield remote
        return
    from corral.cli.backend.reader import Reader

    url, loaded = _place(chosen, app=False)
    async with open_url(url, loaded) as storage:
        yield Reader(storage, url, None if loaded is None else loaded.alerts)


def _place(chosen: Target, *, app: bool) -> tuple[str, Application | None]:
    """The store's URL, and the application: when it is wanted (`app`), or when only it knows where its store is."""
    settings = load_settings(app=chosen.app, url=chosen.url)
    if chosen.app is None or (settings.url is not None and not app):
        return with_prefix(store_url(settings), chosen.prefix), None
    from corral.cli.load import load_app

    loaded = load_app(chosen.app)
    loaded.url = with_prefix(store_url(settings, loaded), chosen.prefix)
    return loaded.url, loaded


def check(queue: str, drafts: Sequence[Draft]) -> None:
    """Whether these jobs could be added, as far as that is known without the store: it is not even made for those not.

    Raises:
        PayloadError, ConfigError: what was given is refused. QueueNotFoundError, UnknownJobError: nobody would run it.
    """
    chosen = target()
    if chosen.api is not None:
        return
    from corral.app.app import Corral
    from corral.cli.backend.drafts import new_jobs

    loaded = _place(chosen, app=True)[1]
    assert loaded is None or isinstance(loaded, Corral)
    new_jobs(loaded, queue, drafts)
