"""`corral config show`: every setting, its value, and where it comes from."""

import os
from collections.abc import Mapping

import click
from pydantic import AliasChoices

from corral.cli.cells import Column
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.settings import FILE, Settings, load_settings
from corral.cli.shared import Globals, command
from corral.sensitive import HIDDEN
from corral.storage.connect import safe_url

COMMANDS = {"show": ("corral.cli.config:show", "Every setting, its value, and where it comes from.")}
COLUMNS = (Column("name", "SETTING"), Column("value", "VALUE"), Column("source", "FROM"))
SECRET = ("token", "redis_password")
URLS = ("url", "redis_url", "file_url", "api")


@click.group("config", cls=LazyGroup, lazy=COMMANDS)
def config() -> None:
    """The settings that hold here."""


@command("show")
def show() -> None:
    """Every setting, its value, and where it comes from: a flag, a variable, .env, corral.toml, or the default."""
    flags = click.get_current_context().ensure_object(Globals)
    given = {
        key: value
        for key in ("app", "url", "api", "token", "context", "prefix")
        if (value := getattr(flags, key)) is not None
    }
    settings = load_settings(**given)
    Printer.current().rows(COLUMNS, [_row(name, settings, given) for name in Settings.model_fields])


def _row(name: str, settings: Settings, flags: Mapping[str, object]) -> dict[str, object]:
    value = getattr(settings, name)
    if name in SECRET and value is not None:
        value = HIDDEN
    elif name in URLS and isinstance(value, str):
        value = safe_url(value)
    return {"name": name, "value": value, "source": _source(name, settings, flags)}


def _source(name: str, settings: Settings, flags: Mapping[str, object]) -> str:
    if name in flags:
        return f"--{name.replace('_', '-')}"
    alias = Settings.model_fields[name].validation_alias
    names = [str(one) for one in alias.choices] if isinstance(alias, AliasChoices) else [f"CORRAL_{name.upper()}"]
    if found := next((one for one in names if os.environ.get(one)), None):
        return found
    if name not in settings.model_fields_set:
        return "default"
    return FILE if name in _in_file() else ".env"


def _in_file() -> Mapping[str, object]:
    from pathlib import Path

    from corral.cli.settings import read_toml

    return read_toml(Path(FILE))
