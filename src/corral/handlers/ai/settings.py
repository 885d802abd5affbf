"""Settings of the AI jobs: where the models are, and what they may take."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from corral.handlers.kit.settings import FamilySettings

OPENAI = "https://api.openai.com/v1"


class AiSettings(FamilySettings):
    """Without a key, and with no other server named, nothing is asked: the jobs run dry and say so."""

    table: ClassVar[str] = "ai"

    ai_url: str = Field(default=OPENAI, validation_alias=AliasChoices("AI_URL", "OPENAI_BASE_URL"))
    ai_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("AI_API_KEY", "OPENAI_API_KEY"))
    ai_model: str = "gpt-4"
    ai_embedding_model: str = "text-embedding-3-small"
    ai_models: str | None = None  #: names, separated by commas: payloads may ask for these and no others
    ai_timeout: float = Field(default=60, gt=0, le=3_600)  #: seconds for a whole answer
    ai_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  #: what the server calls the bound
    ai_stream: Literal["off", "progress", "text"] = "progress"  #: whether answers are watched while they are written
    ai_system: str | None = None  #: instructions before every conversation
    ai_history_messages: int = Field(default=50, ge=1, le=1_000)  #: how many of a conversation's last messages are sent
    ai_history_tokens: int = Field(default=4_000, ge=100)  #: and of how many (estimated) tokens at most
    ai_batch: int = Field(default=100, ge=1, le=2_000)  #: texts in one request for embeddings
    ai_ca_file: Path | None = None

    @field_validator("ai_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http:// for a server of your own)")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _key_in_the_clear(self) -> Self:
        if self.ai_api_key is not None and self.ai_url.startswith("http://") and not _is_near(self.ai_url):
            raise ValueError("AI_URL must begin with https://, or AI_API_KEY would travel in the clear")
        return self

    @property
    def dry_run(self) -> bool:
        return self.ai_api_key is None and self.ai_url == OPENAI

    @property
    def allowed(self) -> frozenset[str] | None:
        """The models that payloads may name; None for any."""
        if self.ai_models is None:
            return None
        named = {name.strip() for name in self.ai_models.split(",") if name.strip()}
        return frozenset({*named, self.ai_model, self.ai_embedding_model})


def _is_near(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return host.partition(":")[0] in ("localhost", "127.0.0.1") or host.startswith("[::1]")
