"""Where an application's store is when its code does not say: the environment, then `corral.toml`, then a file here."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from corral.errors import ConfigError

DEFAULT_URL = "sqlite:///corral.db"


def configured_url() -> str:
    """The store's URL. Producers and workers started in one folder thus meet in the same store.

    CORRAL_URL, then REDIS_URL or REDIS_HOST and its siblings, then `corral.toml`. A variable may also stand in `.env`.

    Raises:
        ConfigError: a `corral.toml` that cannot be read, or a `url` in it that is no text.
    """
    variables = _variables()
    named = variables.get("CORRAL_URL") or redis_url(variables)
    if named:
        return named
    file = Path("corral.toml")
    if not file.is_file():
        return DEFAULT_URL
    import tomllib  # 2 ms to import: only where there is such a file

    try:
        url = tomllib.loads(file.read_text(encoding="utf-8")).get("url", DEFAULT_URL)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"corral.toml cannot be read: {error}", key="corral.toml") from None
    if not isinstance(url, str):
        raise ConfigError(f"url in corral.toml must be text, not {url!r}", key="url")
    return url


def redis_url(variables: Mapping[str, str]) -> str | None:
    """The Redis server that REDIS_URL names, or REDIS_HOST with REDIS_PORT, REDIS_PASSWORD and REDIS_DB."""
    whole, host = variables.get("REDIS_URL"), variables.get("REDIS_HOST")
    if whole or not host:
        return whole
    password = variables.get("REDIS_PASSWORD")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{login}{host}:{variables.get('REDIS_PORT', '6379')}/{variables.get('REDIS_DB', '0')}"


def _variables() -> Mapping[str, str]:
    """The environment, on top of what `.env` says. An empty variable is none, as it is for the command line."""
    file: Mapping[str, str | None] = {}
    if Path(".env").is_file():
        from pydantic_settings import BaseSettings, DotEnvSettingsSource  # 60 ms, and most folders have no such file

        file = DotEnvSettingsSource(BaseSettings, env_file=".env", env_file_encoding="utf-8").env_vars
    written = {name.upper(): value for name, value in file.items() if value}
    return {**written, **{name.upper(): value for name, value in os.environ.items() if value}}
