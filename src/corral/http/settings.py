"""Settings of the HTTP API: keyword > `CORRAL_API_*` > `.env` > `[api]` of `corral.toml` > default.

Whatever is secret is a `SecretStr`, or is left out of the repr: settings may be printed and logged.
"""

import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from corral.admin.rights import check_role
from corral.errors import ConfigError, UnknownOptionError
from corral.http.limits import Pace, Rate, pace

FILE = "corral.toml"
#: Ways to be recognised that can be asked for by name.
METHODS = ("jwt", "tokens", "users", "proxy")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MEGABYTE = 1_000_000
Network = IPv4Network | IPv6Network
_ANCESTOR = re.compile(r"https?://(\*\.)?[a-zA-Z0-9.-]+(:\d{1,5})?")


def _split(value: object) -> object:
    """`a, b` of a variable; a list of a file stays what it is."""
    if isinstance(value, str):
        return tuple(part for part in (one.strip() for one in value.split(",")) if part)
    return tuple(value) if isinstance(value, list) else value


def _pairs(value: object) -> object:
    """`group=role, other=role` of a variable; a table of a file stays what it is."""
    if not isinstance(value, str):
        return value
    return {key.strip(): found.strip() for key, _, found in (one.partition("=") for one in value.split(",")) if key}


def _joined(value: object) -> object:
    return ",".join(str(one) for one in value) if isinstance(value, list | tuple) else value


def _networks(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, tuple):
        return value
    return tuple(ip_network(one, strict=False) if isinstance(one, str) else one for one in parts)


def _paced(value: str) -> str:
    pace(value)
    return value


def _origin(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        if not one.startswith(("http://", "https://")) or one.count("/") != 2 or "*" in one:
            raise ValueError(f"{one!r} is not an exact origin such as https://admin.example.com")
    return tuple(one.lower() for one in value)


def _ancestor(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:  # it becomes part of a header
        if one != "self" and not _ANCESTOR.fullmatch(one):
            raise ValueError(f"{one!r} is neither self nor an origin such as https://admin.example.com")
    return value


def _with_trace(value: str) -> str:
    if value and not (value.startswith(("http://", "https://")) and "{trace_id}" in value):
        raise ValueError(f"{value!r} is not an address with {{trace_id}} in it")
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_origin)]
Ancestors = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_ancestor)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Roles = Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)]
Paces = Annotated[dict[str, Annotated[str, AfterValidator(_paced)]], NoDecode, BeforeValidator(_pairs)]
TraceUrl = Annotated[str, Field(max_length=500), AfterValidator(_with_trace)]
Paced = Annotated[str, AfterValidator(_paced)]
Secrets = Annotated[SecretStr, BeforeValidator(_joined)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Bytes = Annotated[int, Field(ge=1_000, le=100 * MEGABYTE)]


class _Toml(PydanticBaseSettingsSource):
    """The table `[api]` of the current folder's `corral.toml`, below every other source."""

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        return None, field_name, False  # only `__call__` is used: the whole table comes at once

    def __call__(self) -> dict[str, object]:
        return dict(read_table(Path(FILE)))


class ApiSettings(BaseSettings):
    """What can be set, with no more than these defaults: nobody but this machine gets in.

    Raises:
        ConfigError: a value that cannot be meant, or settings that contradict each other; secrets are not shown.
        UnknownOptionError: a name that no setting has.
    """

    model_config = SettingsConfigDict(
        env_prefix="CORRAL_API_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    # -- where ---------------------------------------------------------------------------------------------------
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8800
    root_path: str = ""  #: the prefix that a proxy takes away: /queues
    env_label: Annotated[str, Field(max_length=40)] = ""  #: shown to people: production
    env_color: Literal["", "red", "amber", "green", "blue", "grey"] = ""  #: of the label
    env_danger: bool = False  #: whether what is removed here is missed: a red line, and more to type before it is
    trace_url: TraceUrl = ""  #: where a trace is looked at: https://traces.example.com/trace/{trace_id}
    read_only: bool = False
    docs_public: bool = False  #: whether the OpenAPI document is for everybody
    verbose_health: bool = False  #: whether anybody may see single checks
    drain_delay: Seconds = 5.0  #: how long a stopping server goes on serving while it says that it is not ready

    # -- who -----------------------------------------------------------------------------------------------------
    auth: Words = ()  #: only these ways (jwt, tokens, users, proxy); without it, all that are configured
    insecure_no_auth: bool = False  #: everybody is an admin
    tokens: Secrets = SecretStr("")  #: name:role:token, …
    users: Secrets = SecretStr("")  #: name:role:hash, …; hashes come from `corral api --hash-password`
    session_secret: SecretStr | None = None  #: at least 32 bytes; without it sessions end with the process
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    jwt_secret: SecretStr | None = None
    jwt_public_key: str | None = Field(None, repr=False)  #: PEM text
    jwt_jwks_url: str | None = None
    jwt_algorithms: Words = ()  #: without it, those that fit the keys
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_leeway: Annotated[int, Field(ge=0, le=60)] = 30
    jwt_role_claim: str = ""  #: a dotted path; without it `role`, `roles` and `scope`
    jwt_queues_claim: str = "queues"
    role_map: Roles = Field(default_factory=dict)  #: what a claim or group is called -> role
    default_role: str | None = None  #: of those whose token or proxy names no role
    metrics_user: str = "metrics"
    metrics_password: SecretStr | None = None  #: HTTP Basic for scrapers, which may see /metrics and nothing else
    trusted_proxies: Networks = ()  #: whose X-Forwarded-For, -Proto and -Host are believed
    proxy_secret: SecretStr | None = None  #: with it, X-Forwarded-User of a trusted proxy says who it is
    proxy_secret_header: str = "X-Corral-Proxy-Secret"  # noqa: S105 - its name
    proxy_user_header: str = "X-Forwarded-User"
    proxy_groups_header: str = "X-Forwarded-Groups"

    # -- what is let in ------------------------------------------------------------------------------------------
    allowed_hosts: Words = ()  #: names this API is served under; without it any, on loopback without auth its own
    allowed_origins: Origins = ()  #: other sites whose scripts may call, exactly: https://admin.example.com
    frame_ancestors: Ancestors = ()  #: whose pages may show the dashboard's in a frame: self, https://admin.example.com
    max_body: Bytes = MEGABYTE
    max_enqueue_body: Annotated[int, Field(ge=1_000, le=10 * MEGABYTE)] = MEGABYTE
    max_url: Annotated[int, Field(ge=256, le=65_536)] = 8_192
    body_timeout: Seconds = 30.0
    read_timeout: Seconds = 10.0  #: of one request that reads
    write_timeout: Seconds = 30.0
    rate_limits: bool = True
    read_rate: Paced = "600/min:120"
    write_rate: Paced = "120/min:30"
    enqueue_rate: Paced = "6000/min:1000"
    bulk_rate: Paced = "6/min"
    login_rate: Paced = "10/15min"
    stream_rate: Paced = "30/min"
    queue_rates: Paces = Field(default_factory=dict)  #: of adding, by pattern of the queue, for each caller
    require_reason: bool = False  #: whether each change must say why, in `Corral-Reason`

    def __init__(self, **given: object) -> None:
        for name in given:
            if name not in type(self).model_fields:
                raise UnknownOptionError(name, type(self).model_fields)
        try:
            super().__init__(**given)  # type: ignore[arg-type]  # pydantic checks each of them
        except ValidationError as error:
            raise ConfigError("; ".join(_complaint(dict(item)) for item in error.errors())) from None
        self._agree()

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

    @field_validator("role_map")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        return {key.lower(): check_role(role) for key, role in value.items()}

    @field_validator("default_role")
    @classmethod
    def _known_role(cls, value: str | None) -> str | None:
        return None if value is None else check_role(value)

    def _agree(self) -> None:
        """Raise ConfigError for settings that leave open what is meant."""
        for method in self.auth:
            if method not in METHODS:
                raise UnknownOptionError(method, METHODS)
        if self.insecure_no_auth and self.configured:
            raise ConfigError("insecure_no_auth cannot go with ways to be recognised: take one of them away")
        missing = [method for method in self.auth if method != "tokens" and method not in self.methods]
        if missing:
            raise ConfigError(f"auth names {missing[0]!r}, of which nothing is configured", key="auth")
        for name in ("session_secret", "jwt_secret"):
            secret: SecretStr | None = getattr(self, name)
            if secret is not None and len(secret.get_secret_value().encode()) < 32:
                raise ConfigError(f"{name} must have at least 32 bytes; python -c 'import secrets; "
                                  "print(secrets.token_urlsafe(48))' makes one", key=name)  # fmt: skip
        if self.proxy_secret is not None and not self.trusted_proxies:
            raise ConfigError(
                "proxy_secret needs trusted_proxies: the networks the proxy calls from", key="proxy_secret"
            )

    @property
    def methods(self) -> frozenset[str]:
        """The ways to be recognised that have what they need."""
        there = {
            "jwt": bool(self.jwt_secret or self.jwt_public_key or self.jwt_jwks_url),
            "tokens": bool(self.tokens.get_secret_value()) or "tokens" in self.auth,
            "users": bool(self.users.get_secret_value()),
            "proxy": self.proxy_secret is not None,
        }
        return frozenset(name for name, ready in there.items() if ready and (not self.auth or name in self.auth))

    @property
    def framing(self) -> str:
        """Who may show pages in a frame, as Content-Security-Policy writes it."""
        return " ".join("'self'" if one == "self" else one for one in self.frame_ancestors) or "'none'"

    @property
    def configured(self) -> bool:
        """Whether anybody has said how people are recognised."""
        return bool(self.methods)

    def pace(self, kind: Rate) -> Pace:
        """The pace of a kind of requests."""
        text: str = getattr(self, f"{kind}_rate")
        return pace(text)


def read_table(path: Path) -> Mapping[str, object]:
    """The table `[api]` of a `corral.toml`; empty when there is none.

    Raises:
        ConfigError: not TOML, or a key that no setting has; the message names the nearest one that exists.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("api", {})
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", key=str(path)) from None
    if not isinstance(table, dict):
        raise ConfigError(f"api in {path.name} must be a table: [api]", key="api")
    for key in table:
        if key not in ApiSettings.model_fields:
            raise ConfigError(f"{path.name}, [api]: {UnknownOptionError(key, ApiSettings.model_fields)}", key=key)
    return table


def _complaint(item: Mapping[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    name = ".".join(str(part) for part in location)
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "must", 1).partition(", unable")[0]
    return f"{name} (CORRAL_API_{str(location[0]).upper()}, or [api] of {FILE}): {message[:1].lower()}{message[1:]}"
