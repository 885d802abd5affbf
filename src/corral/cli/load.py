"""Finding the application: `package.module:attribute`, or a module with exactly one Corral."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType

import click

from corral.app.app import Corral
from corral.errors import CorralError, closest


def load_app(target: str) -> Corral:
    """Import the application. The current folder is looked in first.

    Raises:
        UsageError: no such module or attribute, not a Corral, or the module's own code failed; says what was found.
    """
    name, _, attribute = target.partition(":")
    if not name or "/" in name or name.endswith(".py"):
        hint = name.removesuffix(".py").strip("./").replace("/", ".")
        raise click.UsageError(
            f"application {target!r} must be written package.module:attribute"
            + (f", such as {hint}:app" if hint else "")
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    with _Importing(name):
        module = importlib.import_module(name)
    return _attribute(module, attribute, target) if attribute else _only(module)


def _attribute(module: ModuleType, path: str, target: str) -> Corral:
    found: object = module
    for part in path.split("."):
        known = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
        if not hasattr(found, part):
            near = closest(part, _apps(module) or known)
            hint = f"; did you mean {module.__name__}:{near}?" if near else _listing(module)
            raise click.UsageError(f"module {module.__name__!r} has no attribute {path!r}{hint}")
        found = getattr(found, part)
    if not isinstance(found, Corral):
        raise click.UsageError(f"{target} is {_article(found)}, not a Corral application{_listing(module)}")
    return found


def _only(module: ModuleType) -> Corral:
    apps = _apps(module)
    distinct = {id(app): name for name, app in apps.items()}
    if len(distinct) == 1:
        return next(iter(apps.values()))
    if not apps:
        raise click.UsageError(
            f"module {module.__name__!r} has no Corral application; it needs a line such as app = Corral(…)"
        )
    choices = ", ".join(f"{module.__name__}:{name}" for name in distinct.values())
    raise click.UsageError(f"module {module.__name__!r} has several applications: say which ({choices})")


def _apps(module: ModuleType) -> dict[str, Corral]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Corral)}


def _listing(module: ModuleType) -> str:
    apps = _apps(module)
    return (
        f"; it has {', '.join(f'{module.__name__}:{name}' for name in apps)}"
        if apps
        else "; it has no application at all"
    )


def _article(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


class _Importing:
    """Turns whatever the application's own code raises while it is imported into a usage error."""

    # A context manager and not `except Exception`: what a stranger's module raises cannot be listed, and it is not
    # hidden: its traceback is printed first.

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        if isinstance(error, ModuleNotFoundError) and error.name and _leads_to(error.name, self._name):
            raise click.UsageError(
                f"there is no module {error.name!r}; it is looked for in {Path.cwd()} and on Python's path"
            ) from None
        if isinstance(error, CorralError):  # it names what is wrong and the way out: a setting, not a bug
            raise click.UsageError(str(error)) from None
        own = error.with_traceback(_skip_machinery(trace))
        click.echo("".join(traceback.format_exception(own)), err=True, nl=False)
        raise click.UsageError(f"application module {self._name!r} cannot be imported: {type(error).__name__}: {error}")


def _leads_to(missing: str, wanted: str) -> bool:
    return missing == wanted or wanted.startswith(missing + ".")


def _skip_machinery(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the application's own code on."""
    while trace is not None and (
        "importlib" in trace.tb_frame.f_code.co_filename or trace.tb_frame.f_globals.get("__name__") == __name__
    ):
        trace = trace.tb_next
    return trace
