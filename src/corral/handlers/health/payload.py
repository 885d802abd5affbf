"""What a health job carries."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


class CheckHealth(BaseModel):
    """A look at everything, or at the checks that are named. What there is to look at is configured."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    only: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] = Field(default=[], max_length=100)
