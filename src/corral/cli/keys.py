"""The doctor's look at the keys of an HTTP API that is configured here."""

import os
import tomllib
from importlib.util import find_spec
from pathlib import Path

from corral.checks.objects import Check
from corral.cli.settings import FILE
from corral.errors import ConfigError

PREFIX = "CORRAL_API_"


def checked_keys() -> list[Check]:
    """What is to be said of them; nothing where no API is configured, or `corral[web]` is not installed."""
    if not _configured() or find_spec("cryptography") is None or find_spec("fastapi") is None:
        return []
    from corral.http.auth.strength import judge_keys, unreadable  # FastAPI takes half a second
    from corral.http.settings import ApiSettings

    try:
        return judge_keys(ApiSettings())
    except ConfigError as error:
        return [unreadable(error)]


def _configured() -> bool:
    """Whether anything is set for an API: in the environment, in `.env`, or in `corral.toml`."""
    return any(name.startswith(PREFIX) for name in os.environ) or _in_dotenv() or _in_file()


def _in_dotenv() -> bool:
    try:
        return PREFIX in Path(".env").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _in_file() -> bool:
    try:
        return "api" in tomllib.loads(Path(FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # others say so when they read it
        return False
