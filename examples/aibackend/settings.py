"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`. Models and e-mail have settings of their own."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    #: The store. Without one corral looks: CORRAL_URL, REDIS_URL or REDIS_HOST, `corral.toml`, and `corral.db` here.
    url: str | None = Field(default=None, validation_alias=AliasChoices("CORRAL_URL"))
    database_url: SecretStr | None = None  #: the application's own data; a file beside the store when not given
    worker_concurrency: int = Field(default=5, ge=1, le=1_000)  #: jobs at once in each queue of each worker
    aibackend_home: Path | None = None  #: where the platform keeps its own files; beside the store when not given
    jwt_secret: SecretStr | None = Field(default=None, min_length=32)  #: without it nobody gets into the API
    site: str = "http://localhost:8000"  #: where links in mails lead
