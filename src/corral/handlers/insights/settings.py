"""Settings of the insights: what counts as worth telling, and who writes the summary."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from corral.handlers.kit.settings import FamilySettings


class InsightsSettings(FamilySettings):
    """Without `insights_ai_url` the summary is put together from the findings; nothing leaves the application."""

    table: ClassVar[str] = "insights"

    insights_most: int = Field(default=12, ge=1, le=100)  #: findings in one answer
    insights_anomaly_score: float = Field(default=3.5, ge=2, le=20)  #: how far out a day must be: robust z-score
    insights_smallest_change: float = Field(default=0.05, ge=0, le=1)  #: of trends and comparisons, as a fraction
    insights_alarm_change: float = Field(default=0.4, ge=0.05, le=1)  #: a day this far off is an alarm, if it is bad

    insights_ai_url: str | None = None  #: an OpenAI-compatible endpoint: `https://api.openai.com/v1`
    insights_ai_key: SecretStr | None = None
    insights_ai_model: str | None = None
    insights_ai_timeout: float = Field(default=60.0, gt=0, le=170)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.insights_ai_url is not None and self.insights_ai_model is None:
            raise ValueError("INSIGHTS_AI_URL needs INSIGHTS_AI_MODEL")
        return self
