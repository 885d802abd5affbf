"""What the backup jobs carry. What is backed up, and to where, is configured and never said by a payload."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Names = list[Annotated[str, StringConstraints(min_length=1, max_length=64)]]


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    only: Names = Field(default=[], max_length=100)  #: names of sources; all when empty


class MakeBackup(_Payload):
    """One backup of everything, or of the sources that are named."""

    type: Literal["full", "incremental"] = "full"


class VerifyBackups(_Payload):
    """Look whether backups are still what they were when they were made."""

    every: bool = False  #: all of them, and not only the newest of each source
