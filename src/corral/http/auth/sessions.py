"""Sessions: a cookie that says who logged in, signed by this server. What the person may do is looked up each time."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

import jwt
from msgspec import Struct
from starlette.requests import HTTPConnection
from starlette.responses import Response

from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.timing import now_ms

#: Marks our own tokens, so that nothing else that was signed with the same secret passes for one.
TYPE = "corral-session"
#: Sessions that were ended, until they would have run out.
KIND = "ended-session"


class Session(Struct, frozen=True, kw_only=True):
    """Who logged in, and how.

    `users` by name and password, `token` by an API token, `once` by the token of an unconfigured server.
    """

    sub: str
    way: str
    id: str
    shown: str = ""  #: the API token, if it was one: `id:` of one in the store, `mark:` of one in the settings
    expires_at: int  #: epoch milliseconds


class Sessions:
    """Makes, reads and ends sessions."""

    def __init__(self, secret: str | None, hours: float) -> None:
        self._key = (secret or secrets.token_urlsafe(48)).encode()
        self._lasts_ms = round(hours * 3_600_000)

    def start(self, sub: str, way: str, *, shown: str = "", until: int | None = None) -> tuple[Session, str]:
        """A new session, and the text that stands for it.

        Args:
            shown: which token it began with.
            until: epoch milliseconds: when that ends.
        """
        end = now_ms() + self._lasts_ms
        session = Session(
            sub=sub, way=way, id=secrets.token_urlsafe(18), shown=shown,
            expires_at=end if until is None else min(end, until),
        )  # fmt: skip
        claims = {"sub": sub, "way": way, "jti": session.id, "exp": session.expires_at // 1000, "tok": shown}
        return session, jwt.encode(claims, self._key, algorithm="HS256", headers={"typ": TYPE})

    def read(self, text: str) -> Session | None:
        """The session that a text stands for; None when it is not ours or has run out."""
        try:
            if jwt.get_unverified_header(text).get("typ") != TYPE:
                return None
            claims = jwt.decode(text, self._key, algorithms=["HS256"], options={"require": ["exp", "sub", "jti"]})
        except jwt.PyJWTError:
            return None
        return Session(
            sub=claims["sub"], way=str(claims.get("way")), id=claims["jti"], expires_at=claims["exp"] * 1000,
            shown=str(claims.get("tok", "")),
        )  # fmt: skip

    def mark(self, digest: bytes) -> str:
        """What tells in a session which token of the settings it began with; without our key it says nothing."""
        return "mark:" + hmac.new(self._key, b"corral-token:" + digest, hashlib.sha256).hexdigest()

    async def ended(self, session: Session, storage: Storage) -> bool:
        """Whether somebody has logged out of it, in whichever process."""
        return bool(await storage.entries(KIND, ids=[session.id]))

    async def end(self, session: Session, storage: Storage) -> None:
        """Log out: the cookie is worth nothing from now on, also to whoever has a copy."""
        left = max(1_000, session.expires_at - now_ms())
        await storage.write_entries(KIND, [EntryChange(id=session.id, text="{}", ttl_ms=left)])


def cookie_name(request: HTTPConnection) -> str:
    """`__Host-corral` over https, which no other site of the domain can set; else one for each port of this machine."""
    if request.url.scheme == "https":
        return "__Host-corral"
    return f"corral-{request.url.port or 80}"


def cookies_of(request: HTTPConnection) -> Sequence[str]:
    """The sessions that a request shows."""
    found = request.cookies.get(cookie_name(request))
    return () if found is None else (found,)


def set_cookie(request: HTTPConnection, response: Response, text: str, seconds: int) -> None:
    """Give the session to the browser; it lets no script see it and sends it to no other site."""
    response.set_cookie(
        cookie_name(request), text, max_age=seconds, path="/", secure=request.url.scheme == "https", httponly=True,
        samesite="lax",
    )  # fmt: skip


def delete_cookie(request: HTTPConnection, response: Response) -> None:
    """Take it away again."""
    response.delete_cookie(
        cookie_name(request), path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
