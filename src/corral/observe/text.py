"""Text that came from somewhere else, made safe to show on one line of a terminal or a log."""

import re

# C0 and C1 controls (escape sequences start with them), line and paragraph separators, the marks that turn the
# direction of writing around, and half surrogate pairs, which no output can encode.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")


def visible(text: str) -> str:
    """The text with everything that could move the cursor, start a line or hide something written out as an escape."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def cut(text: str, limit: int) -> str:
    """The text, shortened to `limit` characters with an ellipsis as the last one."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cut_bytes(text: str, limit: int) -> str:
    """The text, shortened so that it takes at most `limit` bytes of UTF-8, with an ellipsis at the end."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return text
    return data[: limit - 3].decode(errors="ignore") + "…"
