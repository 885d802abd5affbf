"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`. How e-mail leaves is in corral's `EmailSettings`."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    url: str = Field(default="sqlite:///corral.db", validation_alias=AliasChoices("CORRAL_URL", "REDIS_URL"))
    worker_concurrency: int = Field(default=5, ge=1, le=1_000)  #: jobs at once in each queue of each worker
    job_retention_hours: float = Field(default=24, gt=0)  #: how long finished jobs stay readable
    teamspark_home: Path | None = None  #: where the platform keeps its own files; beside the store when not given
    mail_dir: Path | None = Field(default=None, validation_alias=AliasChoices("CORRAL_MAIL_DIR"))

    @property
    def home(self) -> Path:
        """The folder for the platform's data, temporary files and, while nothing sends them, mails."""
        if self.teamspark_home is not None:
            return self.teamspark_home
        return Path(unquote(urlsplit(self.url).path)[1:]).parent / "teamspark-data"

    @property
    def mails(self) -> Path:
        """Where mails are written while neither SMTP nor Resend is configured."""
        return self.mail_dir or self.home / "mail"
