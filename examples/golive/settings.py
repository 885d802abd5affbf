"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`.

    How mail leaves is in corral's `EmailSettings` (`SMTP_HOST` …), what pipelines may run in its `PipelineSettings`
    (`PIPELINE_PROGRAMS` …), how reports are kept in its `ReportSettings` (`REPORTS_URL` …).
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    #: The store. Without one corral looks: CORRAL_URL, REDIS_URL or REDIS_HOST with REDIS_PORT, REDIS_PASSWORD and
    #: REDIS_DB, then `corral.toml`, and at last `corral.db` here.
    url: str | None = Field(default=None, validation_alias=AliasChoices("CORRAL_URL"))
    golive_home: Path | None = None  #: where the platform keeps its files; beside the store when not given
    database_url: SecretStr | None = None  #: the platform's own data; `golive.db` in its folder when not given
    jwt_secret: SecretStr | None = None  #: what tokens are signed with (HS256); without it the API is closed
    health_interval: float = Field(default=60, gt=0)  #: seconds between two looks at the queues
    mail_dir: Path | None = Field(default=None, validation_alias=AliasChoices("CORRAL_MAIL_DIR"))
