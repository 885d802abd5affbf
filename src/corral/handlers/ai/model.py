"""What a model is to the jobs: something that answers conversations and makes texts comparable."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from corral.errors import CorralError

#: Is called with all of an answer that has been written so far.
OnText = Callable[[str], Awaitable[None]]


class ModelError(CorralError):
    """A model answered, but not with what was asked for. Another attempt may help."""


class Said(Struct, frozen=True):
    """One message as a model sees it."""

    role: Literal["system", "user", "assistant"]
    content: str

    def __repr__(self) -> str:
        return f"<{self.role}: {len(self.content)} characters>"


class Question(Struct, frozen=True, kw_only=True):
    """A conversation to go on with."""

    messages: tuple[Said, ...]
    model: str
    max_tokens: int
    temperature: float


class Completion(Struct, frozen=True, kw_only=True):
    """An answer. Tokens are the server's count where it gave one, else an estimate."""

    content: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cut: bool = False  #: it ended because of `max_tokens`
    dry_run: bool = False

    def __repr__(self) -> str:
        return f"<Completion of {self.completion_tokens} tokens by {self.model}>"

    @property
    def tokens(self) -> int:
        """What it cost."""
        return self.prompt_tokens + self.completion_tokens


class Embedded(Struct, frozen=True, kw_only=True):
    """Vectors, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    tokens: int
    dry_run: bool = False

    def __repr__(self) -> str:
        return f"<Embedded: {len(self.vectors)} vectors by {self.model}>"


class Model(Protocol):
    """A way to ask. Anything with these two methods will do."""

    async def complete(self, question: Question, on_text: OnText | None = None) -> Completion:
        """Answer. With `on_text`, which is called while the answer is written.

        Raises:
            AuthError, BusyError, RefusedError, WebError, ModelError: see `corral.handlers.kit.web`.
        """
        ...

    async def embed(self, texts: Sequence[str], model: str) -> Embedded:
        """Make vectors. Raises: as `complete`."""
        ...


def estimate(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters, more where the letters are not Latin."""
    wide = sum(1 for letter in text if ord(letter) > 0x24F)
    return (len(text) - wide) // 4 + wide + 1
