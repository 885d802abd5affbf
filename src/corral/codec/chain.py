"""The chain: from JSON text to a sealed envelope, which is JSON text too, and back.

    {"corral:sealed":1,"steps":["zlib","A256GCM:2026-11"],"body":"…base64…"}

`steps` says what was done, in order; the key's id stands behind the colon. Each step that has a key covers everything
before it and what the envelope belongs to: the kind, the queue, the job's name and, where its caller chose one, the
job's id. So an envelope that was moved to another job, changed or cut short does not open.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder

from corral.errors import ConfigError, PayloadError

VERSION = 1
SEALED = '{"corral:sealed":'
UNREADABLE = '{"corral:unreadable":'
#: What a payload begins with that no handler may get to see.
MARKS = (SEALED, UNREADABLE)
#: The longest envelope that is looked at: what `from_json` allows a payload.
MAX_TEXT = 16_000_000


class Codec(Protocol):
    """One step of a chain."""

    algorithm: str  #: names the step in envelopes
    strict: bool  #: whether what was stored without this step is refused
    secret: bool  #: whether nobody can read what it has sealed without a key

    def key_for(self, body: bytes) -> str | None:
        """The id of the key to seal with, "" for none; None leaves this body as it is."""
        ...

    def seal(self, body: bytes, key: str, bound: bytes) -> bytes:
        """The body as it is stored. `bound` must be given again to open it."""
        ...

    def open(self, body: bytes, key: str, bound: bytes) -> bytes:
        """Undo `seal`. Raises: PayloadError, which says why and nothing of the content."""
        ...


class Envelope(Struct, frozen=True, rename={"version": "corral:sealed"}, forbid_unknown_fields=True):
    """A sealed payload as it is stored. `to` is the job's id where the envelope is tied to it."""

    version: int
    steps: tuple[str, ...]
    body: str
    to: str | None = None


class Purpose(Struct, frozen=True):
    """What an envelope belongs to. Nothing of it is taken from the envelope when it is opened."""

    kind: str  #: payload, result, progress or note
    queue: str
    name: str = ""  #: the job's; empty where the id says it all
    id: str | None = None


class _Unreadable(Struct, frozen=True, rename={"why": "corral:unreadable"}):
    why: str
    sealed: str = ""


_read = Decoder(Envelope).decode
_read_unreadable = Decoder(_Unreadable).decode

#: The chain of a queue; None when its payloads are stored as they are.
Chains: TypeAlias = Callable[[str], "Chain | None"]


class Chain:
    """Codecs in the order in which they seal."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        self._codecs = tuple(codecs)
        for codec in self._codecs:
            if not hasattr(codec, "algorithm") or isinstance(codec, type):
                raise ConfigError(f"codecs are Compressed(…), Encrypted(…) and Signed(…), not {codec!r}", key="codecs")
        self._by_name = {codec.algorithm: codec for codec in self._codecs}
        if len(self._by_name) < len(self._codecs):
            raise ConfigError("codecs of one kind twice in a chain: give one of them several keys", key="codecs")
        self.secret = any(codec.secret for codec in self._codecs)

    def __repr__(self) -> str:
        return f"Chain({', '.join(self._by_name)})"

    def __len__(self) -> int:
        return len(self._codecs)

    def seal(self, text: str, purpose: Purpose) -> str:
        """The envelope of a JSON text; the text itself where no step applies."""
        body, steps = text.encode(), list[str]()
        for codec in self._codecs:
            key = codec.key_for(body)
            if key is not None:
                steps.append(f"{codec.algorithm}:{key}" if key else codec.algorithm)
                body = codec.seal(body, key, _bound(steps, purpose))
        if not steps:
            return text
        made = {"corral:sealed": VERSION, "steps": steps, "body": base64.b64encode(body).decode()}
        if purpose.id is not None:
            made["to"] = purpose.id
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"))

    def open(self, text: str, purpose: Purpose) -> str:
        """The JSON text in an envelope. `purpose.id` is the job's, whether the envelope is tied to it or not.

        Raises:
            PayloadError: forged, moved, damaged, made with a key that is not here, or not sealed as the chain demands.
        """
        envelope = read_envelope(text) if text.startswith(SEALED) else Envelope(VERSION, (), "")
        done = {step.partition(":")[0] for step in envelope.steps}
        missing = [codec.algorithm for codec in self._codecs if codec.strict and codec.algorithm not in done]
        if missing:
            raise PayloadError(f"it was stored without {' and '.join(missing)}, which this queue demands")
        if not envelope.steps:
            return text
        if envelope.to is not None and envelope.to != purpose.id:
            raise PayloadError("it was sealed for another job")
        tied = Purpose(purpose.kind, purpose.queue, purpose.name, envelope.to)
        try:
            body = base64.b64decode(envelope.body, validate=True)
        except (binascii.Error, ValueError):
            raise PayloadError("its envelope is damaged: the body is not base64") from None
        for last in range(len(envelope.steps), 0, -1):
            algorithm, _, key = envelope.steps[last - 1].partition(":")
            codec = self._by_name.get(algorithm)
            if codec is None:
                raise PayloadError(f"it is sealed with {algorithm[:40]!r}, which this queue has no codec for")
            body = codec.open(body, key, _bound(envelope.steps[:last], tied))
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise PayloadError("its envelope opens to something that is not text") from None

    def is_current(self, text: str) -> bool:
        """Whether the text was sealed with the steps and keys that `seal` uses now, compression aside."""
        now = [step for codec in self._codecs if codec.strict or codec.secret for step in _current(codec)]
        steps = read_envelope(text).steps if text.startswith(SEALED) else ()
        return [step for step in steps if step != "zlib"] == now


def _current(codec: Codec) -> list[str]:
    key = codec.key_for(b"")
    return [] if key is None else [f"{codec.algorithm}:{key}" if key else codec.algorithm]


def _bound(steps: Sequence[str], purpose: Purpose) -> bytes:
    facts = ["corral", VERSION, purpose.kind, purpose.queue, purpose.name, purpose.id, *steps]
    return json.dumps(facts, separators=(",", ":")).encode()


def read_envelope(text: str) -> Envelope:
    """The parts of an envelope, nothing of it checked against a key.

    Raises:
        PayloadError: it is damaged, or of a version that this corral does not know.
    """
    if len(text) > MAX_TEXT:
        raise PayloadError(f"its envelope has {len(text):,} characters, more than any may have")
    try:
        envelope = _read(text)
    except (DecodeError, ValidationError, RecursionError):
        raise PayloadError("its envelope is damaged") from None
    if envelope.version != VERSION:
        raise PayloadError(f"its envelope is of version {envelope.version}, and this corral knows {VERSION}: upgrade")
    return envelope


def unreadable(why: str, sealed: str) -> str:
    """What stands in for a payload that could not be opened: JSON text with the reason, and the envelope inside."""
    facts = {"corral:unreadable": why, "sealed": sealed}
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def as_stored(text: str) -> str | None:
    """The envelope inside of `unreadable`; None for any other text."""
    if not text.startswith(UNREADABLE):
        return None
    try:
        sealed = _read_unreadable(text).sealed
    except (DecodeError, ValidationError):
        return None
    return sealed if sealed.startswith(SEALED) else None


def refuse_sealed(text: str) -> None:
    """Check that a payload is one for a handler.

    Raises:
        PayloadError: it could not be opened, or it is sealed and nobody here has the codecs for its queue.
    """
    if not text.startswith(MARKS):
        return
    if text.startswith(SEALED):
        raise PayloadError("payload is sealed, and this worker has no codecs for its queue")
    try:
        why = _read_unreadable(text).why
    except (DecodeError, ValidationError):
        why = "it is damaged"
    raise PayloadError(f"payload cannot be opened: {why}")
