"""Names of queues, handlers, schedules: what may be part of a key in every store."""

import re
import secrets

from corral.errors import ConfigError

# A lone surrogate (half of a UTF-16 pair) cannot be stored as UTF-8 by anybody.
_NAME_CHARS = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff:*?\[\]\\]+")


def check_name(value: object, what: str) -> str:
    """Check a queue's, a handler's or a schedule's name.

    Raises:
        ConfigError: not a string, empty, longer than 128, or with a colon, control or pattern character.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > 128:
        raise ConfigError(f"{what} must be a text of 1 to 128 characters, not {value!r}", key=what)
    if not _NAME_CHARS.fullmatch(value):
        raise ConfigError(
            f"{what} {value!r} has a character that names may not have (: * ? [ ] \\ or a control)", key=what
        )
    return str.__str__(value)


#: Crockford's base 32, in lower case: no i, l, o, u, which people misread.
_BASE_32 = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80


def sortable_id(now_ms: int, after: str = "") -> str:
    """An id of 26 characters that nobody else gives out and that sorts by time.

    48 bits of milliseconds and 80 random ones: of those made in one millisecond the order is chance, unless each is
    made `after` the one before.
    """
    made = _in_base_32(now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))
    if made <= after and made[:10] == after[:10]:  # 50 bits, of which two are always 0
        return _in_base_32(sum(_BASE_32.index(sign) << 5 * place for place, sign in enumerate(reversed(after))) + 1)
    return made


def id_bound(at_ms: int) -> str:
    """What every id of that millisecond or later sorts behind, and every earlier one before."""
    return _in_base_32(min(max(0, at_ms), 2**48 - 1) << _RANDOM_BITS)[:10]


def _in_base_32(number: int) -> str:
    return "".join(_BASE_32[number >> shift & 31] for shift in range(125, -1, -5))
