"""The write model's verbs about API tokens: made once, shown once, kept as a hash."""

import hmac
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.admin.base import DeskBase
from corral.admin.objects import Token
from corral.admin.rights import check_globs, check_role
from corral.errors import ConfigError, RecordNotFoundError, StorageError
from corral.storage.records import MAX_CHANGES, EntryChange
from corral.timing import MAX_DURATION_MS, Millis

log = logging.getLogger("corral.tokens")

KIND = "token"
#: Tokens that there may be.
MOST = 1_000
#: Tokens that may be made, directly or not, by one that opens some queues only.
MOST_MADE = 100
#: How often the last use of a token is written down: each request would otherwise be a write.
USED_MS: Millis = 60_000
#: 32 random bytes are 43 characters.
_FORM = re.compile(r"crl_([a-z0-9]{10})_([A-Za-z0-9_-]{43})")


class Stored(Struct, frozen=True, kw_only=True):
    """A token as it is stored: what people may know of it, and the SHA-256 of all of it."""

    token: Token
    hash: str

    def __repr__(self) -> str:
        return f"Stored({self.token!r})"


_decode = msgspec.json.Decoder(Stored).decode


class TokenVerbs(DeskBase):
    """API tokens `crl_<id>_<43 characters>`."""

    async def create_token(
        self, name: str, role: str, queues: Sequence[str] = ("*",), expires_at: Millis | None = None, *,
        parent: str = "",
    ) -> tuple[str, Token]:  # fmt: skip
        """Make a token; answers it, which nobody can read again afterwards, and what is kept of it.

        Args:
            queues: patterns of the queues that there are for it.
            expires_at: epoch milliseconds; None is never.
            parent: the id of the token by which somebody makes it. It may not last longer, and ends with that one.

        Raises:
            ConfigError: no name, an unknown role, no queues, an end that is over or beyond the parent's, 1,000 tokens
                already, or 100 made by tokens of some queues. RecordNotFoundError: the parent has gone.
        """
        async with self._noting("token.create", name=str(name)[:100]) as note:
            at, now = self.ground.at(), self.ground.store_now()
            token = Token(
                id=_new_id(), name=_check_name(name), role=check_role(role), queues=check_globs(queues),
                created_at=at, created_by=self.actor.sub, expires_at=_check_end(expires_at, at), parent=parent,
            )  # fmt: skip
            every = await self.tokens()
            if len(every) >= MOST:
                raise ConfigError(f"there are {MOST:,} tokens: revoke some first", key="token")
            if parent:
                _check_parent(token, every)
            clear = f"crl_{token.id}_{secrets.token_urlsafe(32)}"
            await self.storage.write_entries(KIND, [_change(Stored(token=token, hash=_hash(clear)), 0)], now=now)
            note.target["token"] = token.id
            note.after = {"role": token.role, "queues": token.queues, "expires_at": token.expires_at}
            return clear, token

    async def tokens(self) -> list[Token]:
        """All tokens, the newest first; those that have expired are among them until they are revoked."""
        found = await self.storage.entries(KIND, limit=MOST, now=self.ground.store_now())
        return sorted((_decode(one.text).token for one in found), key=lambda one: (-one.created_at, one.id))

    async def revoke_token(self, token_id: str) -> None:
        """Let a token open nothing any more, and those that were made by it. Raises: RecordNotFoundError."""
        async with self._noting("token.revoke", token=token_id) as note:
            now = self.ground.store_now()
            found = await self.storage.entries(KIND, ids=[token_id], now=now)
            if not found:
                raise RecordNotFoundError("token", token_id)
            token = _decode(found[0].text).token
            note.target["name"] = token.name
            note.before = {"role": token.role, "queues": token.queues}
            gone = [token_id, *_made_by(token_id, await self.tokens())]
            note.count = len(gone)
            for begin in range(0, len(gone), MAX_CHANGES):
                changes = [EntryChange(id=one, text=None) for one in gone[begin : begin + MAX_CHANGES]]
                await self.storage.write_entries(KIND, changes, now=now)

    async def find_token(self, clear: str) -> Token | None:
        """The token that somebody has shown, if there is such a one and its time is not over. It leaves no entry."""
        form = _FORM.fullmatch(clear)
        if form is None:
            return None
        now = self.ground.store_now()
        found = await self.storage.entries(KIND, ids=[form[1]], now=now)
        stored = _decode(found[0].text) if found else None
        # Compared also where there is none, so that the time it takes tells nothing.
        fits = hmac.compare_digest(_hash(clear), "" if stored is None else stored.hash)
        at = self.ground.at()
        if stored is None or not fits or _is_over(stored.token, at):
            return None
        return await self._used(stored, found[0].version, at, now)

    async def token(self, token_id: str) -> Token | None:
        """The token of this id, unless it was revoked or its time is over: a session stands for it.

        It counts as its use, and leaves no entry.
        """
        now, at = self.ground.store_now(), self.ground.at()
        found = await self.storage.entries(KIND, ids=[token_id], now=now)
        stored = _decode(found[0].text) if found else None
        if stored is None or _is_over(stored.token, at):
            return None
        return await self._used(stored, found[0].version, at, now)

    async def _used(self, stored: Stored, version: int, at: Millis, now: Millis | None) -> Token:
        """Note that a token was used, at most once a minute."""
        if at - (stored.token.used_at or 0) < USED_MS:
            return stored.token
        used = replace(stored, token=replace(stored.token, used_at=at))
        try:  # over this version only: one that was revoked in between stays so
            await self.storage.write_entries(KIND, [_change(used, version)], now=now)
        except StorageError as error:
            log.warning("the use of token %s could not be noted: %s", used.token.id, error)
        return used.token


def _is_over(token: Token, at: Millis) -> bool:
    return token.expires_at is not None and token.expires_at <= at


def _check_parent(token: Token, every: Sequence[Token]) -> None:
    """Raises: ConfigError, RecordNotFoundError."""
    by_id = {one.id: one for one in every}
    parent = by_id.get(token.parent)
    if parent is None:
        raise RecordNotFoundError("token", token.parent)
    if parent.expires_at is not None and (token.expires_at is None or token.expires_at > parent.expires_at):
        raise ConfigError("expires_at must not be later than that of the token by which it is made", key="expires_at")
    # Whoever has some queues only must not use up what is there for everybody.
    if "*" not in parent.queues and len(_made_by(_first(parent, by_id), every)) >= MOST_MADE:
        raise ConfigError(f"{MOST_MADE} tokens were made by this one: revoke some first", key="token")


def _first(token: Token, by_id: Mapping[str, Token]) -> str:
    """The oldest in the line of tokens of some queues that one comes from: each may make as many as the first."""
    seen = {token.id}
    while (parent := by_id.get(token.parent)) is not None and "*" not in parent.queues and parent.id not in seen:
        token = parent
        seen.add(token.id)
    return token.id


def _made_by(token_id: str, every: Sequence[Token]) -> list[str]:
    """Tokens that were made by this one, and by those."""
    found, left = [token_id], [token_id]
    while left:
        made = [one.id for one in every if one.parent in left and one.id not in found]
        found += made
        left = made
    return found[1:]


def _change(stored: Stored, version: int) -> EntryChange:
    return EntryChange(id=stored.token.id, text=msgspec.json.encode(stored).decode(), version=version)


def _hash(clear: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return sha256(clear.encode("utf-8", "replace")).hexdigest()


def _new_id() -> str:
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(10))


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 100 or not name.isprintable():
        raise ConfigError(f"name must be a printable text of 1 to 100 characters, not {name!r}", key="name")
    return name


def _check_end(expires_at: Millis | None, at: Millis) -> Millis | None:
    if expires_at is None:
        return None
    if isinstance(expires_at, bool) or not isinstance(expires_at, int) or not 0 < expires_at - at <= MAX_DURATION_MS:
        raise ConfigError(f"expires_at must be within the next ten years, not {expires_at!r}", key="expires_at")
    return expires_at
