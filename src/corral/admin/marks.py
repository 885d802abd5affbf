"""The write model's verbs about marks: deployments and incidents on the charts."""

import re
from collections.abc import Sequence

import msgspec

from corral.admin.base import DeskBase
from corral.admin.objects import Mark
from corral.errors import ConfigError, RecordNotFoundError
from corral.naming import sortable_id
from corral.storage.records import EntryChange
from corral.timing import MAX_DURATION_MS, Millis

KIND = "mark"
#: Marks that are kept, and characters of a label and a link.
KEEP, LABEL, URL = 1_000, 100, 1_000
COLORS = ("", "blue", "green", "orange", "red", "purple", "grey")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_URL = re.compile(r"https?://[^\s\"'<>\x00-\x1f]+")

_decode = msgspec.json.Decoder(Mark).decode


class MarkVerbs(DeskBase):
    """Marks on the charts."""

    async def mark(
        self, label: str, at: Millis | None = None, url: str = "", color: str = "", *, queues: Sequence[str] = ("*",)
    ) -> Mark:
        """Put a mark on the charts: now, or at that moment.

        Args:
            queues: patterns of the queues on whose charts it stands.

        Raises:
            ConfigError: no label, a moment ten years away, a link that is none of http, or an unknown colour.
        """
        async with self._noting("mark.add", label=str(label)[:LABEL]) as note:
            now = self.ground.at()
            made = Mark(
                id=sortable_id(_check_at(at, now)), label=_check_label(label), at=_check_at(at, now),
                url=_check_url(url), color=_check_color(color), by=self.actor.sub, queues=tuple(queues),
            )  # fmt: skip
            change = EntryChange(id=made.id, text=msgspec.json.encode(made).decode(), version=0)
            await self.storage.write_entries(KIND, [change], keep=KEEP, now=self.ground.store_now())
            note.target["mark"] = made.id
            return made

    async def marks(self, *, since: Millis | None = None, until: Millis | None = None) -> list[Mark]:
        """Marks between two moments, oldest first."""
        found = await self.storage.entries(KIND, limit=KEEP, newest_first=False, now=self.ground.store_now())
        marks = [_decode(entry.text) for entry in found]
        return [one for one in marks if (since is None or one.at >= since) and (until is None or one.at < until)]

    async def unmark(self, mark_id: str) -> None:
        """Take a mark away. Raises: RecordNotFoundError."""
        async with self._noting("mark.remove", mark=mark_id) as note:
            now = self.ground.store_now()
            found = await self.storage.entries(KIND, ids=[mark_id], now=now)
            if not found:
                raise RecordNotFoundError("mark", mark_id)
            note.before = {"label": _decode(found[0].text).label}
            await self.storage.write_entries(KIND, [EntryChange(id=mark_id, text=None)], now=now)


def _check_label(label: object) -> str:
    if not isinstance(label, str) or not label.strip() or len(label) > LABEL or not label.isprintable():
        raise ConfigError(f"label must be a printable text of 1 to {LABEL} characters, not {label!r}", key="label")
    return label


def _check_at(at: Millis | None, now: Millis) -> Millis:
    if at is None:
        return now
    if isinstance(at, bool) or not isinstance(at, int) or at < 0 or abs(at - now) > MAX_DURATION_MS:
        raise ConfigError(f"at must be a moment within ten years, not {at!r}", key="at")
    return at


def _check_url(url: object) -> str:
    # It becomes a link on a page: `javascript:` must not.
    if not isinstance(url, str) or len(url) > URL or (url and not _URL.fullmatch(url)):
        raise ConfigError(f"url must begin with http:// or https://, not {url!r}", key="url")
    return url


def _check_color(color: object) -> str:
    if not isinstance(color, str) or (color not in COLORS and not _COLOR.fullmatch(color)):
        known: Sequence[str] = COLORS[1:]
        raise ConfigError(f"color must be one of {', '.join(known)} or #rrggbb, not {color!r}", key="color")
    return color
