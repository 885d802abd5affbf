"""Where an application's store is when its code does not say: the environment, then `corral.toml`, then a file here."""

import os
import tomllib
from pathlib import Path

from corral.errors import ConfigError

DEFAULT_URL = "sqlite:///corral.db"


def configured_url() -> str:
    """The store's URL. Producers and workers started in one folder thus meet in the same store.

    Raises:
        ConfigError: a `corral.toml` that cannot be read, or a `url` in it that is no text.
    """
    named = os.environ.get("CORRAL_URL")
    if named:
        return named
    file = Path("corral.toml")
    if not file.is_file():
        return DEFAULT_URL
    try:
        url = tomllib.loads(file.read_text()).get("url", DEFAULT_URL)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"corral.toml cannot be read: {error}", key="corral.toml") from None
    if not isinstance(url, str):
        raise ConfigError(f"url in corral.toml must be text, not {url!r}", key="url")
    return url
