"""Where a command works: a store or an HTTP API, and what said so."""

import click
from msgspec import Struct

from corral.cli.contexts import NONE, Context, read_contexts
from corral.cli.failures import USAGE, fail
from corral.cli.settings import Settings, load_settings
from corral.cli.shared import Globals


class Target(Struct, frozen=True, kw_only=True):
    """Either `api` is there, or the store is at `url` (None: where `store_url` looks)."""

    api: str | None = None
    token: str | None = None
    url: str | None = None
    app: str | None = None
    prefix: str | None = None
    context: str | None = None
    danger: bool = False
    source: str = ""  #: what decided: a flag, a variable, a context


def target() -> Target:
    """The target of the command that runs: flags, then CORRAL_*, then the context in use, then all the rest.

    Raises:
        ConfigError: a context that is not there. Failure: both a store and an API are named (exit 2).
    """
    flags = click.get_current_context().ensure_object(Globals)
    return choose(flags, load_settings(app=flags.app))


def choose(flags: Globals, settings: Settings) -> Target:
    """The target by these flags and settings."""
    if flags.url and flags.api:
        fail("--url names a store and --api an HTTP API: say one of them", USAGE)
    token = flags.token or settings.token
    prefix = flags.prefix or settings.prefix
    if flags.url or flags.api:
        source = "--url" if flags.url else "--api"
        return Target(url=flags.url, api=flags.api, token=token, app=settings.app, prefix=prefix, source=source)
    if flags.context:
        return _saved(flags.context, "--context", token, settings.app, prefix)
    if settings.url or settings.api:
        if settings.url and settings.api:
            fail("CORRAL_URL names a store and CORRAL_API an HTTP API: unset one of them", USAGE)
        source = "CORRAL_URL" if settings.url else "CORRAL_API"
        return Target(
            url=settings.url, api=settings.api, token=token, app=settings.app, prefix=prefix, source=source
        )  # fmt: skip
    if settings.context:
        return _saved(settings.context, "CORRAL_CONTEXT", token, settings.app, prefix)
    current = read_contexts().current
    if current is not None:
        return _saved(current, "corral context use", token, settings.app, prefix)
    return Target(token=token, app=settings.app, prefix=prefix)


def _saved(name: str, source: str, token: str | None, app: str | None, prefix: str | None) -> Target:
    if name == NONE:
        return Target(token=token, app=app, prefix=prefix, source=source)
    saved: Context = read_contexts().get(name)
    return Target(
        url=saved.url, api=saved.api, token=token or saved.token, app=app or saved.app, prefix=prefix, context=name,
        danger=saved.danger, source=f"{source} {name}",
    )  # fmt: skip
