"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`. How e-mail leaves is in corral's `EmailSettings`."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    #: The store. Without one corral looks: CORRAL_URL, REDIS_URL or REDIS_HOST, `corral.toml`, and `corral.db` here.
    url: str | None = Field(default=None, validation_alias=AliasChoices("CORRAL_URL"))
    worker_concurrency: int = Field(default=5, ge=1, le=1_000)  #: jobs at once in each queue of each worker
    job_retention_hours: float = Field(default=24, gt=0)  #: how long finished jobs stay readable
    teamspark_home: Path | None = None  #: where the platform keeps its own files; beside the store when not given
    #: Where mails are written while nothing sends them; in the platform's folder when not given.
    mail_dir: Path | None = Field(default=None, validation_alias=AliasChoices("CORRAL_MAIL_DIR"))
