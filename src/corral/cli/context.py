"""`corral context`: stores and APIs with a name."""

import click
from msgspec.structs import replace

from corral.cli.cells import Column, plain
from corral.cli.contexts import (
    NONE,
    Context,
    check_context_name,
    config_file,
    read_contexts,
    write_contexts,
)
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import Globals, command
from corral.storage.connect import check_url, safe_url

COMMANDS = {
    "add": ("corral.cli.context:add", "Save a store or an API under a name."),
    "list": ("corral.cli.context:list_contexts", "What is saved, and which one is in use."),
    "use": ("corral.cli.context:use", "Use a context from now on."),
    "show": ("corral.cli.context:show", "Where commands work now, and what says so."),
    "remove": ("corral.cli.context:remove", "Forget a context."),
}
COLUMNS = (
    Column("current", "", lambda value: "*" if value else ""),
    Column("name", "NAME"),
    Column("where", "WHERE"),
    Column("app", "APP", rank=1),
    Column("token", "TOKEN", plain),
    Column("danger", "DANGER", plain),
)


@click.group("context", cls=LazyGroup, lazy=COMMANDS)
def context() -> None:
    """Stores and APIs with a name: save them, and choose one."""


@command("add")
@click.argument("name")
@click.option("--danger", is_flag=True, help="What cannot be undone there is asked about with the queue's name.")
@click.option("--use", "at_once", is_flag=True, help="Use it from now on.")
def add(name: str, danger: bool, at_once: bool) -> None:
    """Save the store of --url, or the API of --api with its --token, as NAME.

    The file is readable by you only. A context of that name is replaced.
    """
    flags = click.get_current_context().ensure_object(Globals)
    if (flags.url is None) == (flags.api is None):
        raise click.UsageError("say --url for a store, or --api (with --token) for an HTTP API")
    if flags.url is not None:
        check_url(flags.url)
    saved = read_contexts()
    made = Context(url=flags.url, api=flags.api, token=flags.token, app=flags.app, danger=danger)
    current = name if at_once else saved.current
    write_contexts(replace(saved, current=current, contexts={**saved.contexts, check_context_name(name): made}))
    Printer.current().note(f"saved context {name} in {config_file()}")


@command("list")
def list_contexts() -> None:
    """What is saved; the one in use has a star."""
    saved = read_contexts()
    rows = [
        {
            "current": name == saved.current, "name": name,
            "where": one.api or (None if one.url is None else safe_url(one.url)),
            "app": one.app, "token": one.token is not None, "danger": one.danger,
        }
        for name, one in sorted(saved.contexts.items())
    ]  # fmt: skip
    Printer.current().rows(COLUMNS, rows)


@command("use")
@click.argument("name")
def use(name: str) -> None:
    """Use a context from now on, wherever no flag and no variable says otherwise; "none" uses no context."""
    saved = read_contexts()
    if name != NONE:
        saved.get(name)
    write_contexts(replace(saved, current=None if name == NONE else name))
    Printer.current().note("no context is in use" if name == NONE else f"context {name} is in use")


@command("show")
def show() -> None:
    """Where commands work now, and what says so."""
    from corral.cli.settings import load_settings
    from corral.cli.store import store_url
    from corral.cli.target import target

    chosen = target()
    where = chosen.api or safe_url(chosen.url or store_url(load_settings()))
    Printer.current().record(
        {
            "context": chosen.context, "kind": "api" if chosen.api else "store", "where": where,
            "because_of": chosen.source or "settings", "danger": chosen.danger,
        }
    )  # fmt: skip


@command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget a context."""
    saved = read_contexts()
    saved.get(name)
    left = {key: one for key, one in saved.contexts.items() if key != name}
    write_contexts(replace(saved, current=None if saved.current == name else saved.current, contexts=left))
    Printer.current().note(f"removed context {name}")
