"""Passwords: scrypt, in a thread, at the same cost whether there is such a user or not."""

import asyncio
import base64
import hashlib
import hmac
import secrets

from msgspec import Struct

from corral.errors import ConfigError

#: 16 MB and a fifth of a second for each guess.
COST, BLOCK, PASSES = 14, 8, 5
#: Guesses that are looked at together: a flood of them must not take every processor.
TOGETHER = 2
LONGEST = 1_024


class Hashed(Struct, frozen=True):
    """A password as it is stored: `scrypt$14$8$5$salt$key`."""

    cost: int
    block: int
    passes: int
    salt: bytes
    key: bytes

    def __repr__(self) -> str:
        return "<password>"

    def text(self) -> str:
        """As it stands in settings."""
        return f"scrypt${self.cost}${self.block}${self.passes}${_text(self.salt)}${_text(self.key)}"


def hash_password(password: str, *, cost: int = COST, block: int = BLOCK, passes: int = PASSES) -> str:
    """The line to put into settings. Raises: ConfigError, for fewer than 8 characters or more than 1,024."""
    if not 8 <= len(password) <= LONGEST:
        raise ConfigError(f"a password must have 8 to {LONGEST:,} characters", key="password")
    salt = secrets.token_bytes(16)
    return Hashed(cost, block, passes, salt, _derive(password, cost, block, passes, salt)).text()


def read_hash(text: str) -> Hashed:
    """A stored password. Raises: ConfigError, which does not show it."""
    parts = text.split("$")
    try:
        kind, cost, block, passes, salt, key = parts
        found = Hashed(int(cost), int(block), int(passes), _bytes(salt), _bytes(key))
    except ValueError:
        raise ConfigError("a user's password must be a hash that `corral api --hash-password` makes") from None
    fits = 1 <= found.cost <= 20 and 1 <= found.block <= 32 and 1 <= found.passes <= 16 and len(found.key) == 32
    if kind != "scrypt" or not fits or len(found.salt) < 8:
        raise ConfigError("a user's password must be a hash that `corral api --hash-password` makes")
    return found


class Checker:
    """Compares passwords, a few at a time."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(TOGETHER)

    async def fits(self, password: str, stored: Hashed | None, like: Hashed) -> bool:
        """Whether the password is the stored one. Without one it costs as much as `like`, and the answer is no."""
        target = stored or like
        async with self._room:
            found = await asyncio.to_thread(
                _derive, password[:LONGEST], target.cost, target.block, target.passes, target.salt
            )
        return hmac.compare_digest(found, target.key) and stored is not None and len(password) <= LONGEST


def _derive(password: str, cost: int, block: int, passes: int, salt: bytes) -> bytes:
    memory = 128 * block * (2**cost + passes) + 1_048_576
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=2**cost, r=block, p=passes, maxmem=memory, dklen=32
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
