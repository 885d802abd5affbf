"""Settings: arguments, then the environment, then `.env`, then the `[reports]` table of `corral.toml`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from corral.handlers.kit.settings import FamilySettings
from corral.handlers.reports.output.formats import FORMATS, Format

#: Shorter ones can be guessed by trying.
MIN_SECRET = 32


class ReportSettings(FamilySettings):
    """Where reports are kept and how they look. Every field has an environment variable of the same name."""

    table: ClassVar[str] = "reports"

    reports_folder: Path = Path("reports")
    reports_keep_days: float = Field(default=30, gt=0, le=3_650)
    reports_formats: Annotated[tuple[Format, ...], NoDecode] = Field(
        default=(), description="html,pdf where it can be made"
    )
    reports_brand: str = Field(default="corral", min_length=1, max_length=80)
    reports_timezone: str = "UTC"
    reports_fonts: Path | None = None  #: a folder with fonts for PDF, for scripts that the built-in ones lack
    reports_pdf_rows: int = Field(default=1_000, ge=1, le=20_000)  #: of each table; the rest is in XLSX and CSV

    #: Where `shelf.asgi` can be reached: `https://reports.example.org/reports`.
    reports_url: str | None = None
    reports_secret: SecretStr | None = None  #: signs links
    reports_old_secret: SecretStr | None = None  #: still accepted, while links signed with it are about
    reports_link_hours: float = Field(default=168, gt=0, le=8_760)

    reports_deliver: Literal["auto", "link", "attachment", "both"] = "auto"
    #: A payload may have 1 MB, and base64 makes 4 bytes of 3.
    reports_attach_bytes: int = Field(default=600_000, ge=0, le=50_000_000)

    @field_validator("reports_formats", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        """`html,pdf`, as one writes it into an environment."""
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @field_validator("reports_formats")
    @classmethod
    def _once(cls, value: tuple[Format, ...]) -> tuple[Format, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("reports_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value[:60]!r} is not a time zone such as Europe/Oslo") from None
        return value

    @field_validator("reports_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as https://example.org/reports")
        return value.rstrip("/")

    @field_validator("reports_secret", "reports_old_secret")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_SECRET:
            raise ValueError(f"must have at least {MIN_SECRET} characters: `openssl rand -hex 32` makes a good one")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reports_deliver in ("link", "both") and not self.links:
            raise ValueError(f"REPORTS_DELIVER={self.reports_deliver} needs REPORTS_URL and REPORTS_SECRET")
        return self

    @property
    def links(self) -> bool:
        """Whether documents can be linked to."""
        return self.reports_url is not None and self.reports_secret is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The one that signs, then the one that is still accepted."""
        both = (self.reports_secret, self.reports_old_secret)
        return tuple(secret.get_secret_value() for secret in both if secret is not None)

    def usual_formats(self, can: tuple[Format, ...]) -> tuple[Format, ...]:
        """What a report is made as when its job does not say."""
        if self.reports_formats:
            return self.reports_formats
        return tuple(form for form in FORMATS if form in ("html", "pdf") and form in can)
