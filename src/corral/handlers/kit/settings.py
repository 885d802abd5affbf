"""Settings of a family of handlers: arguments, then the environment, then `.env`, then its table of `corral.toml`."""

import tomllib
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from corral.errors import ConfigError

FILE = Path("corral.toml")


class FamilySettings(BaseSettings):
    """Base of the families' settings. Every field has an environment variable of the same name; secrets do not show."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    #: The table of `corral.toml` that is theirs.
    table: ClassVar[str]

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Arguments before the environment before `.env` before the file."""
        table = InitSettingsSource(settings_cls, init_kwargs=table_of(cls.table))
        return init_settings, env_settings, dotenv_settings, file_secret_settings, table

    @classmethod
    def load(cls, **values: object) -> Self:
        """What the arguments, the environment and the files say. Raises: ConfigError, with every complaint."""
        try:
            return cls(**values)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as error:
            raise ConfigError(f"{cls.table} settings: {'; '.join(complaints(error))}", key=cls.table) from None


def complaints(error: ValidationError) -> list[str]:
    """Every complaint with the field that it is about, without pydantic's own words for a validator's error."""
    return [
        ": ".join((*map(str, item["loc"]), item["msg"].removeprefix("Value error, ")))
        for item in error.errors(include_input=False)
    ]


def table_of(name: str) -> dict[str, object]:
    """A table of `corral.toml`; empty when there is no such file or table. Raises: ConfigError."""
    try:
        document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read: {error}", key=name) from None
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name} in {FILE} must be a table, not {table!r}", key=name)
    return table
