"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`. What a handler's own settings are, its page says."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    #: The store. Without one corral looks: CORRAL_URL, REDIS_URL or REDIS_HOST, `corral.toml`, and `corral.db` here.
    url: str | None = Field(default=None, validation_alias=AliasChoices("CORRAL_URL"))
    #: The platform's own data; `sqlite:///…/team.db` in its folder when not given.
    database_url: SecretStr | None = None
    worker_concurrency: int = Field(default=5, ge=1, le=1_000)  #: jobs at once in each queue of each worker
    job_retention_hours: float = Field(default=24, gt=0)  #: how long finished jobs stay readable
    teamspark_home: Path | None = None  #: where the platform keeps its own files; beside the store when not given
    #: Where mails are written while nothing sends them; in the platform's folder when not given.
    mail_dir: Path | None = Field(default=None, validation_alias=AliasChoices("CORRAL_MAIL_DIR"))
    jwt_secret: SecretStr | None = None  #: signs the tokens of the people who may look; without one nobody may

    def home(self, url: str) -> Path:
        """Where the platform's files are, when its store is at `url`."""
        return self.teamspark_home or beside(url)


def beside(url: str) -> Path:
    """A folder next to the store: whoever may write the one may write the other. Beside a server, it is here."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path)[1:]).parent if parts.scheme == "sqlite" else Path()
    return folder / "teamspark-data"
