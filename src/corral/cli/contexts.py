"""Saved stores and APIs: `~/.config/corral/config.toml`, readable by its owner only, because it has tokens."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from corral.errors import ConfigError, closest

NONE = "none"  #: instead of a name: no context at all
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Context(Struct, frozen=True, kw_only=True):
    """One saved place. `danger`: what cannot be undone there is asked about with the queue's name."""

    url: str | None = None
    api: str | None = None
    token: str | None = None
    app: str | None = None
    danger: bool = False


class Contexts(Struct, frozen=True, kw_only=True):
    """All of them, and which one is in use."""

    current: str | None = None
    contexts: Mapping[str, Context] = {}

    def get(self, name: str) -> Context:
        """The context of this name. Raises: ConfigError, with the nearest name."""
        found = self.contexts.get(name)
        if found is None:
            near = closest(name, self.contexts)
            known = f"; did you mean {near!r}?" if near else f"; there are {', '.join(sorted(self.contexts)) or 'none'}"
            raise ConfigError(f"there is no context {name!r}{known}", key="context")
        return found


def config_file() -> Path:
    """Where they are kept: below XDG_CONFIG_HOME, or `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "corral" / "config.toml"


def read_contexts() -> Contexts:
    """What is saved; nothing when there is no file.

    Raises:
        ConfigError: the file cannot be read, or says something that cannot be meant.
    """
    path = config_file()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", key="context") from None
    tables = content.get("contexts", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: contexts must be tables, [contexts.NAME]", key="context")
    current = content.get("current")
    return Contexts(
        current=current if isinstance(current, str) else None,
        contexts={name: _read(path, name, table) for name, table in tables.items()},
    )


def _read(path: Path, name: str, table: object) -> Context:
    known = {"url": str, "api": str, "token": str, "app": str, "danger": bool}
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: context {name!r} must be a table", key="context")
    for key, value in table.items():
        if key not in known or not isinstance(value, known[key]):
            raise ConfigError(f"{path}: context {name!r} cannot have {key} = {value!r}", key="context")
    return Context(**table)


def write_contexts(saved: Contexts) -> None:
    """Save them. The file is never readable by others, not even while it is written.

    Raises:
        ConfigError: it cannot be written.
    """
    lines = [] if saved.current is None else [f"current = {json.dumps(saved.current)}", ""]
    for name, context in sorted(saved.contexts.items()):
        lines.append(f"[contexts.{json.dumps(name)}]")
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in asdict(context).items() if value not in (None, False)
        ]
        lines.append("")
    path = config_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", key="context") from None


def check_context_name(name: str) -> str:
    """A name that a context may have. Raises: ConfigError."""
    if name == NONE or not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a context's name: letters, digits, dots, dashes", key="context")
    return name
