"""What a clean-up job carries: how careful it is to be. Where it looks is configured, never said by a payload."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Clean(BaseModel):
    """One clean-up. Every field may be left out: the rules know how old what they remove must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    #: Hours (fractions too) instead of the rule's own age. At least one: a payload must not empty a folder in use.
    older_than_hours: float | None = Field(default=None, ge=1, le=87_840, allow_inf_nan=False)
    dry_run: bool = False  #: count what would go, and remove nothing
    limit: int | None = Field(default=None, ge=1, le=1_000_000)  #: at most so many files or rows in this run
