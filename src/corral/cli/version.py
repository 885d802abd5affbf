"""`corral version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

from corral._version import __version__
from corral.cli.render import Printer
from corral.cli.shared import command

_LIBRARIES = ("apsw", "click", "cronsim", "msgspec", "pydantic", "pydantic-settings", "rich")


def _installed(name: str) -> str:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return "not installed"


@command("version")
def version() -> None:
    """Print the versions of corral, Python and the libraries it stands on: what a bug report needs."""
    facts = {"corral": __version__, "python": platform.python_version(), "platform": platform.platform()}
    Printer.current().record({**facts, **{name: _installed(name) for name in _LIBRARIES}})
