"""What the AI jobs carry."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

#: Who asks, and in which conversation: ids of the application's own.
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
#: The names of models are put into a request, never into a path.
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class GenerateCompletion(_Payload):
    """A message in a conversation, to be answered. Its representation leaves the message out: it may be private."""

    user_id: Id
    conversation_id: Id
    message: Text = Field(repr=False)
    model: ModelName | None = None  #: the settings' when not given
    max_tokens: int = Field(default=4096, ge=1, le=1_000_000)
    temperature: float = Field(default=0.7, ge=0, le=2)
    system: str | None = Field(default=None, max_length=100_000, repr=False)  #: instructions before everything else


class Passage(_Payload):
    """A text under an id of its own."""

    id: Id
    text: Text = Field(repr=False)


class GenerateEmbeddings(_Payload):
    """Texts to be made comparable: each with an id, or known by what it says."""

    texts: list[Text | Passage] = Field(min_length=1, max_length=2_000, repr=False)
    collection: Id = "default"
    model: ModelName | None = None
    user_id: Id | None = None
