"""Settings: arguments, then the environment, then `.env`, then the `[email]` table of `corral.toml`."""

import tomllib
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from corral.errors import ConfigError
from corral.handlers.email.address import parse_address
from corral.handlers.kit.settings import complaints

FILE = Path("corral.toml")
#: Who a mail comes from while nothing is configured: a name that can never be delivered to.
DRY_RUN_FROM = "corral <noreply@example.com>"


class Security(StrEnum):
    """How the connection to the SMTP server is protected."""

    TLS = "tls"  #: from the first byte (port 465)
    STARTTLS = "starttls"  #: before anything else is said (port 587); refused when the server does not offer it
    NONE = "none"  #: not at all: for a server on this machine


class EmailSettings(BaseSettings):
    """How e-mail leaves. Every field has an environment variable of the same name; passwords never show in `repr`.

    Raises:
        ValidationError: pydantic's, with every complaint and no values; `load_settings` makes it a ConfigError.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    email_from: str | None = Field(default=None, validation_alias=AliasChoices("EMAIL_FROM", "SMTP_FROM"))
    email_brand: str | None = None  #: the name in the mail's head and foot; the sender's name when not given
    email_transport: Literal["smtp", "resend", "dry-run"] | None = None  #: chosen by what is configured when not given

    smtp_host: str | None = None
    smtp_port: int | None = Field(default=None, ge=1, le=65_535)
    smtp_user: str | None = Field(default=None, validation_alias=AliasChoices("SMTP_USER", "SMTP_USERNAME"))
    smtp_password: SecretStr | None = None
    smtp_secure: bool | None = None  #: true: TLS from the first byte; false: STARTTLS
    smtp_tls: Security | None = None  #: says the same, and "none"; wins over `smtp_secure`
    smtp_timeout: float = Field(default=10.0, gt=0, le=300)  #: seconds for each step of the conversation
    smtp_ca_file: Path | None = None  #: authorities to trust beside the system's own

    resend_api_key: SecretStr | None = None
    resend_url: str = "https://api.resend.com"

    mail_dir: Path = Field(default=Path("mail"), validation_alias=AliasChoices("CORRAL_MAIL_DIR"))

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Arguments before the environment before `.env` before the file."""
        table = InitSettingsSource(settings_cls, init_kwargs=_table())
        return init_settings, env_settings, dotenv_settings, file_secret_settings, table

    @field_validator("smtp_tls", mode="before")
    @classmethod
    def _spelling(cls, value: object) -> object:
        """`SMTP_TLS=true` is what most other programs understand by STARTTLS."""
        switches = {"true": "starttls", "1": "starttls", "yes": "starttls", "on": "starttls"}
        switches |= {"false": "none", "0": "none", "no": "none", "off": "none", "ssl": "tls"}
        return switches.get(str(value).lower(), str(value).lower()) if isinstance(value, str | bool) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.email_from is not None:
            parse_address(self.email_from, "EMAIL_FROM")
        if self.email_transport is None and self.resend_api_key is not None and self.smtp_host is not None:
            raise ValueError("both SMTP_HOST and RESEND_API_KEY are set: choose with EMAIL_TRANSPORT=smtp or resend")
        needed = {"smtp": ("SMTP_HOST", self.smtp_host), "resend": ("RESEND_API_KEY", self.resend_api_key)}
        name, value = needed.get(self.transport, ("", ""))
        if value is None:
            raise ValueError(f"EMAIL_TRANSPORT={self.transport} needs {name}")
        if self.transport != "dry-run" and self.email_from is None:
            raise ValueError('EMAIL_FROM must say whom the mail comes from, such as "Team <noreply@your-domain.org>"')
        return self

    @property
    def transport(self) -> Literal["smtp", "resend", "dry-run"]:
        """The way that is chosen, or the one that is configured; files when none is."""
        if self.email_transport is not None:
            return self.email_transport
        if self.resend_api_key is not None:
            return "resend"
        return "dry-run" if self.smtp_host is None else "smtp"

    @property
    def sender(self) -> str:
        return self.email_from or DRY_RUN_FROM

    @property
    def security(self) -> Security:
        """What was asked for; else by the port, and plain only on this machine, where nobody listens in between."""
        if self.smtp_tls is not None:
            return self.smtp_tls
        if self.smtp_secure is not None:
            return Security.TLS if self.smtp_secure else Security.STARTTLS
        if self.smtp_port == 465:
            return Security.TLS
        return Security.NONE if _is_loopback(self.smtp_host or "") else Security.STARTTLS

    @property
    def port(self) -> int:
        return self.smtp_port or {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}[self.security]


def load_settings(**values: object) -> EmailSettings:
    """What the arguments, the environment and the files say. Raises: ConfigError, with every complaint."""
    try:
        return EmailSettings(**values)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        raise ConfigError(f"e-mail settings: {'; '.join(complaints(error))}", key="email") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _table() -> dict[str, object]:
    """The `[email]` table of `corral.toml`; nothing when there is no such file or table."""
    try:
        document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read: {error}", key="email") from None
    table = document.get("email", {})
    if not isinstance(table, dict):
        raise ConfigError(f"email in {FILE} must be a table, not {table!r}", key="email")
    return table
