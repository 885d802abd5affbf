"""Records: small texts under an id, for what people do to a store rather than what jobs do in it.

Audit entries, operations, tokens, marks, orders to workers: each sort is a kind, and belongs to no queue. Entries carry
a version, so that of two processes that change one at once a single one succeeds.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from corral.errors import ConfigError
from corral.timing import Millis

#: Bytes of one entry's text, characters of its id, changes of one call, ids asked for at once.
MAX_TEXT, MAX_ID, MAX_CHANGES = 1_000_000, 200, 256

# A lone surrogate (half of a UTF-16 pair) cannot be stored as UTF-8 by anybody.
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}(:[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200})?")
_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class Entry(Struct, frozen=True, kw_only=True):
    """A text under an id. `version` counts from 1 and begins again when the entry was deleted."""

    id: str
    text: str
    version: int
    at: Millis  #: when this version was written

    def __repr__(self) -> str:  # the text may be a token's hash or an answer of a worker
        return f"Entry({self.id!r}, version={self.version}, at={self.at}, {len(self.text):,} characters)"


class EntryChange(Struct, frozen=True, kw_only=True):
    """What one entry is to become. A time that it had is gone with each change, unless this one gives another."""

    id: str
    text: str | None  #: None deletes it
    version: int | None = None  #: write only over this version; 0: only where none is; None: whatever is there
    ttl_ms: Millis | None = None  #: gone after that


class Records(Protocol):
    """The part of the port for things that are no jobs. Kinds are words, with a free part behind a colon."""

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        """Make all changes in one step, each deciding for itself, in order; answers what became of each.

        The new version, 0 when it was deleted or was not there to be, None when another version was there. With `keep`
        only the last so many of the kind, by id, stay.

        Raises:
            ConfigError: a kind, an id, a text or a number of changes that no store takes; nothing was written.
        """
        ...

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        """Entries of a kind by id (code points), those after `after` and before `before`: neither bound is included.

        With `ids` it is these, as far as they are there, in the order asked for. Those whose time is over are not
        there.

        Raises:
            ConfigError: the kind is none.
        """
        ...


def check_kind(kind: str) -> None:
    """Raises: ConfigError, when this cannot be a kind of entries."""
    if not _KIND.fullmatch(kind):
        raise ConfigError(
            f"a kind of entries must be a word of a-z, 0-9, _ and -, with a free part behind a colon, not {kind!r}",
            key="kind",
        )


def check_changes(kind: str, changes: Sequence[EntryChange]) -> None:
    """Raises: ConfigError, when no store takes them."""
    check_kind(kind)
    if len(changes) > MAX_CHANGES:
        raise ConfigError(f"one call changes at most {MAX_CHANGES} entries, not {len(changes):,}", key="changes")
    for change in changes:
        if len(change.id) > MAX_ID or not _ID.fullmatch(change.id):
            raise ConfigError(
                f"an entry's id must have 1 to {MAX_ID} characters and no controls, not {change.id!r}", key="id"
            )
        if change.ttl_ms is not None and change.ttl_ms <= 0:
            raise ConfigError(f"an entry's time must be longer than 0 ms, not {change.ttl_ms}", key="ttl_ms")
        if change.text is not None:
            _check_text(change.id, change.text)


def _check_text(entry_id: str, text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"entry {entry_id!r} has a text that is no UTF-8 (a lone surrogate)", key="text") from None
    if size > MAX_TEXT:
        raise ConfigError(f"entry {entry_id!r} has {size:,} bytes, more than the limit of {MAX_TEXT:,}", key="text")
