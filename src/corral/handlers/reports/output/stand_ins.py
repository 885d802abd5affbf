"""What a chart is drawn with in place of what it will show."""

import re
from html import escape

from corral.handlers.reports.words import line

#: Stands for the colour of the text around the chart until that is known.
INK = "#010203"


class Texts:
    """Texts that come from outside. matplotlib measures one as long in their place, and never sees them: it would
    take `$` for mathematics, and complain about every character that its own font lacks."""

    def __init__(self) -> None:
        self._all: list[str] = []

    def place(self, text: str, limit: int = 28) -> str:
        """What to draw instead of a text, which is cut at `limit` characters."""
        text = line(text)
        if len(text) > limit:
            text = text[: limit - 1].rstrip() + "…"
        self._all.append(text)
        width = sum(2 if ord(character) >= 0x2E80 else 1 for character in text)
        return f"Q{len(self._all) - 1}Q".ljust(width, "n")

    def restore(self, svg: str) -> str:
        """Put the texts in."""
        return re.sub(r">Q(\d+)Qn*<", lambda match: f">{escape(self._all[int(match[1])])}<", svg)
