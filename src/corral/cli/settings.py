"""Settings of the command line: flag > `CORRAL_*` > the guides' variables > `.env` > `corral.toml` > default."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from corral.app.place import redis_url
from corral.cli.values import duration, size
from corral.errors import ConfigError, UnknownOptionError

FILE = "corral.toml"
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json", "logfmt", "guide"]


def _seconds(value: object) -> object:
    return duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=86_400)]


def _bytes(value: object) -> object:
    return size(value) if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65_535)]


class _Toml(PydanticBaseSettingsSource):
    """`corral.toml` of the current folder, below every other source."""

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        return None, field_name, False  # only `__call__` is used: the whole file comes at once

    def __call__(self) -> dict[str, object]:
        return dict(read_toml(Path(FILE)))


class Settings(BaseSettings):
    """What can be set. Every field but the `redis_*` ones may stand in `corral.toml` under its own name."""

    model_config = SettingsConfigDict(
        env_prefix="CORRAL_", env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True
    )

    app: str | None = None
    url: str | None = None
    api: str | None = None
    token: str | None = Field(None, repr=False)
    context: str | None = None
    prefix: str | None = None
    file_url: str | None = None  #: `url` of corral.toml: it ranks below REDIS_URL, which ranks below CORRAL_URL
    queues: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, validation_alias=AliasChoices("CORRAL_CONCURRENCY", "WORKER_CONCURRENCY")
    )
    processes: int = Field(1, ge=1, le=256)
    name: str | None = None
    shutdown_timeout: Seconds = 30.0
    stats_interval: Seconds = 30.0
    retention_hours: Annotated[float, Field(ge=0, le=87_600)] | None = Field(
        None, validation_alias=AliasChoices("CORRAL_RETENTION_HOURS", "JOB_RETENTION_HOURS")
    )
    max_rss: Annotated[int, BeforeValidator(_bytes), Field(ge=1)] | None = None
    threads: Annotated[int, Field(ge=1, le=10_000)] | None = None
    executor: Literal["async", "thread", "process"] = "async"
    tags: str | None = None
    health_port: Port | None = None
    metrics_port: Port | None = None
    listen: str = "127.0.0.1"
    health_file: str | None = None
    health_stuck_after: Seconds = 30.0
    log_level: LogLevel = "info"
    log_format: LogFormat = "console"
    env: str = Field("development", validation_alias=AliasChoices("CORRAL_ENV", "NODE_ENV"))
    redis_url: str | None = Field(None, validation_alias=AliasChoices("REDIS_URL"))
    redis_host: str | None = Field(None, validation_alias=AliasChoices("REDIS_HOST"))
    redis_port: int = Field(6379, validation_alias=AliasChoices("REDIS_PORT"))
    redis_password: str | None = Field(None, validation_alias=AliasChoices("REDIS_PASSWORD"), repr=False)
    redis_db: int = Field(0, validation_alias=AliasChoices("REDIS_DB"))

    not_in_file: ClassVar = frozenset(
        {"file_url", "api", "token", "redis_url", "redis_host", "redis_port", "redis_password", "redis_db"}
    )

    @property
    def production(self) -> bool:
        """Whether this is the real thing: CORRAL_ENV (or NODE_ENV) says production."""
        return self.env.lower() in ("production", "prod")

    @property
    def redis(self) -> str | None:
        """The Redis server that the environment names."""
        given = {
            "REDIS_URL": self.redis_url, "REDIS_HOST": self.redis_host, "REDIS_PORT": str(self.redis_port),
            "REDIS_PASSWORD": self.redis_password, "REDIS_DB": str(self.redis_db),
        }  # fmt: skip
        return redis_url({name: value for name, value in given.items() if value})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _Toml(settings_cls)


def read_toml(path: Path) -> Mapping[str, object]:
    """The settings of a `corral.toml`; empty when there is none.

    Raises:
        ConfigError: not TOML, or a key that no setting has; the message names the nearest one that exists.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", key=str(path)) from None
    known = Settings.model_fields.keys() - Settings.not_in_file
    content = {key: value for key, value in content.items() if not isinstance(value, dict)}  # tables are the handlers'
    for key in content:
        if key not in known:
            raise ConfigError(f"{path.name}: {UnknownOptionError(key, known)}", key=key)
    if "url" in content:
        content["file_url"] = content.pop("url")
    return content


def load_settings(**flags: object) -> Settings:
    """The settings as they hold here and now; a flag that is None was not given.

    Raises:
        ConfigError: a value that cannot be meant; the message names the flag, variable or file it stands in.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks each of them
    except ValidationError as error:
        problems = [_complaint(dict(item), given) for item in error.errors()]
        raise ConfigError("; ".join(problems)) from None


def _complaint(item: Mapping[str, object], flags: Mapping[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    where = _origin(str(location[0]), flags)
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "must", 1).partition(", unable")[0]
    return f"{where}: {message[:1].lower()}{message[1:]}, not {item['input']!r}"


def _origin(name: str, flags: Mapping[str, object]) -> str:
    """Where the refused value was written."""
    field = next(
        (key for key, info in Settings.model_fields.items() if name in (key, *_aliases(info.validation_alias))), name
    )
    if field in flags:
        return f"--{field.replace('_', '-')}"
    names = _aliases(Settings.model_fields[field].validation_alias) or (f"CORRAL_{field.upper()}",)
    set_here = next((one for one in names if os.environ.get(one)), None)
    return set_here or f"{field} in .env or {FILE}"


def _aliases(alias: object) -> tuple[str, ...]:
    return tuple(str(one) for one in alias.choices) if isinstance(alias, AliasChoices) else ()
