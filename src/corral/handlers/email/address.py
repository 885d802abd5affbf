"""Addresses and header texts: what is let into a mail's headers and envelope.

Whoever can put a line break into a header or an SMTP command writes headers and recipients of his own. So everything
that goes there passes `check_line` or `parse_address` first, when the job is added and again when it runs.
"""

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from corral.errors import PayloadError

#: An address may have 254 characters (RFC 5321), a display name 100 here.
MAX_ADDRESS = 254
MAX_NAME = 100

# Controls (CR and LF among them), the separators that some programs take for line breaks, half surrogate pairs, and the
# marks that turn the direction of writing, with which a sender shows as somebody else.
_FORBIDDEN_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNERS = re.compile("[\u202a-\u202e\u2066-\u2069]")

_NAMED = re.compile(r"(.*?)\s*<([^<>]*)>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
#: In these a name could be taken for several addresses, or end too early.
_TO_QUOTE = re.compile(r'[,;:@<>"\\]')


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: the address itself in ASCII, and the name people see."""

    spec: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.spec.rpartition("@")[2]


def check_line(value: str, what: str, *, limit: int) -> str:
    """Check a text that will stand in one header line.

    Raises:
        PayloadError: a line break or another character that headers may not have, or more than `limit` characters.
    """
    for character in value:
        if unicodedata.category(character) in _FORBIDDEN_KINDS or _TURNERS.match(character):
            shown = value if len(value) <= 80 else value[:80] + "…"
            raise PayloadError(f"{what} may not contain the character U+{ord(character):04X}: {shown!r}")
    if len(value) > limit:
        raise PayloadError(f"{what} may have {limit} characters, not {len(value)}")
    return value


def parse_address(text: str, what: str = "address") -> Address:
    """Read `ann@example.org` or `Ann Lee <ann@example.org>`. Looks nothing up.

    Raises:
        PayloadError: not an address, or one with a line break or another forbidden character.
    """
    # The quotes and angle brackets around a name do not count, so there is some room above the two limits.
    check_line(text, what, limit=2 * (MAX_ADDRESS + MAX_NAME))
    named = _NAMED.fullmatch(text.strip())
    name, spec = _name(named[1], text, what) if named else "", named[2] if named else text.strip()
    try:
        # No look-up: whether a domain takes mail is found out by sending, not by every `add`.
        found = validate_email(spec, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise _refused(text, what, _plain(str(error))) from None
    # Without SMTPUTF8 there is always an ASCII form: the domain in punycode.
    return Address(found.ascii_email or found.normalized, check_line(name, f"{what}'s name", limit=MAX_NAME))


def _name(written: str, text: str, what: str) -> str:
    """The name before the angle bracket, without its quotes. The validator's own reading knows ASCII names only."""
    if quoted := _QUOTED.fullmatch(written):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if odd := _TO_QUOTE.search(written):
        raise _refused(text, what, f"a name with {odd[0]} must stand in double quotes")
    return written


def _refused(text: str, what: str, why: str) -> PayloadError:
    return PayloadError(f"{what} {text[:80]!r} is not an e-mail address: {why}")


def _plain(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
