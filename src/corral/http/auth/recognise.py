"""Recognising: the ways to say who one is, in their order. The first that is used decides; a wrong word ends it."""

import secrets
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from inspect import isawaitable
from ipaddress import ip_address
from typing import NoReturn, Protocol

from starlette.requests import Request

from corral.admin.rights import Principal
from corral.http.auth.bearer import Bearer, challenge, looks_signed
from corral.http.auth.known import User, by_basic, by_proxy, digest, find_static, read_tokens, read_users
from corral.http.auth.sessions import Session, Sessions, cookies_of
from corral.http.problems import Problem, problem
from corral.http.settings import ApiSettings
from corral.storage.port import Storage

PEER = "corral.peer"  #: in the scope: who is at the other end of the connection, whatever headers say


class Stored(Protocol):
    """What the store knows of a token."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def queues(self) -> tuple[str, ...]: ...
    @property
    def expires_at(self) -> int | None: ...


Hook = Callable[[Request], Principal | None | Awaitable[Principal | None]]
FindToken = Callable[[str], Awaitable[Stored | None]]
GetStorage = Callable[[], Awaitable[Storage]]


class Recogniser:
    """Knows everybody that the settings, the store and the host application know.

    Raises:
        ConfigError: settings that cannot be meant.
    """

    def __init__(
        self, settings: ApiSettings, *, hook: Hook | None, find_token: FindToken, token_of: FindToken,
        storage: GetStorage,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._hook = hook
        self._find_token = find_token
        self._token_of = token_of
        self._storage = storage
        methods = settings.methods
        self._bearer = Bearer(settings) if "jwt" in methods else None
        self._tokens = read_tokens(settings.tokens.get_secret_value()) if "tokens" in methods else ()
        self.users = {user.name: user for user in _users(settings)}
        self._asks_store = not settings.auth or "tokens" in settings.auth
        secret = settings.session_secret
        self.sessions = Sessions(None if secret is None else secret.get_secret_value(), settings.session_hours)
        #: Nobody has said how people are recognised: only this machine, by a token that is shown once.
        self.closed = not settings.configured and hook is None and not settings.insecure_no_auth
        self._once = secrets.token_urlsafe(32) if self.closed else None

    def once(self) -> str | None:
        """The token with which one person can log in where nothing is configured; None when it is used up."""
        return self._once

    def use_once(self, shown: str) -> bool:
        """Use the token up. It is good for one login."""
        if self._once is None or not secrets.compare_digest(self._once.encode(), shown.encode("utf-8", "replace")):
            return False
        self._once = None
        return True

    async def recognise(self, request: Request) -> Principal:
        """Who asks. Raises: Problem (401)."""
        if self.closed:
            check_here(request)
        if self._hook is not None:
            answer = self._hook(request)
            found = await answer if isawaitable(answer) else answer
            if found is not None:
                return found
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return await self._shown(authorization)
        for text in cookies_of(request):
            found = await self._session(text)
            if found is not None:
                return found
        found = by_proxy(self.settings, request, str(request.scope.get(PEER, "")))
        if found is not None:
            return found
        if self.settings.insecure_no_auth:
            return Principal(sub="anybody", roles=("admin",), method="open")
        raise Problem("unauthenticated", "Show a token: Authorization: Bearer …", headers=self._challenge())

    async def _shown(self, authorization: str) -> Principal:
        scheme, _, word = authorization.partition(" ")
        word = word.strip()
        if scheme.lower() == "bearer" and word:
            return await self._by_bearer(word)
        found = by_basic(self.settings, authorization) if scheme.lower() == "basic" else None
        if found is None:
            self._wrong()
        return found

    async def _by_bearer(self, word: str) -> Principal:
        if looks_signed(word):
            found = await self._session(word)
            if found is not None:
                return found
            if self._bearer is None:
                self._wrong()
            return await self._bearer.recognise(word)
        found = await self._by_token(word)
        if found is None:
            self._wrong()
        return found

    async def _by_token(self, word: str) -> Principal | None:
        static = find_static(self._tokens, word)
        if static is not None:
            return Principal(sub=static.name, roles=(static.role,), method="token")
        stored = await self._find_token(word) if self._asks_store and word.startswith("crl_") else None
        return None if stored is None else _holder(stored, "token", stored.expires_at)

    async def log_in(self, word: str) -> tuple[Session, str] | None:
        """A session of whoever has this API token; it ends with the token. None: there is no such token."""
        who = await self._by_token(word)
        if who is None:
            return None
        shown = f"id:{who.id}" if who.id else self.sessions.mark(digest(word))
        return self.sessions.start(who.sub, "token", shown=shown, until=who.expires_at)

    async def _session(self, text: str) -> Principal | None:
        session = self.sessions.read(text)
        if session is None or await self.sessions.ended(session, await self._storage()):
            return None
        return await self.whose(session)

    async def whose(self, session: Session) -> Principal | None:
        """Who a session stands for, with what they may do now; None when it stands for nobody any more."""
        # Not what the cookie says: whoever is taken out of the settings is out at once, and so is a token.
        role: str | None = None
        if session.way == "users":
            role = self.users[session.sub].role if session.sub in self.users else None
        elif session.way == "once":
            role = "admin" if self.closed else None
        elif session.way == "token":
            return await self._token_session(session)
        if role is None:
            return None
        return Principal(sub=session.sub, roles=(role,), method="session", expires_at=session.expires_at)

    async def _token_session(self, session: Session) -> Principal | None:
        kind, _, id = session.shown.partition(":")
        if kind == "id":
            stored = await self._token_of(id) if self._asks_store else None
            return None if stored is None else _holder(stored, "session", session.expires_at)
        for one in self._tokens:
            if compare_digest(self.sessions.mark(one.digest), session.shown):
                return Principal(
                    sub=one.name, roles=(one.role,), method="session", via="token", expires_at=session.expires_at
                )
        return None

    def _challenge(self) -> dict[str, str]:
        found = challenge()
        if self.settings.metrics_password is not None:
            found["WWW-Authenticate"] += ', Basic realm="corral metrics"'
        return found

    def _wrong(self) -> NoReturn:
        problem("token-invalid", "The token or password is not valid.", headers=challenge("invalid"))


def _holder(stored: Stored, method: str, expires_at: int | None) -> Principal:
    """Whoever has a token of the store: shown with the request, or when the session began."""
    return Principal(
        sub=stored.name, roles=(stored.role,), queues=stored.queues or ("*",), method=method,
        via="token" if method == "session" else "", expires_at=expires_at, id=stored.id,
    )  # fmt: skip


def _users(settings: ApiSettings) -> tuple[User, ...]:
    return read_users(settings.users.get_secret_value()) if "users" in settings.methods else ()


def check_here(request: Request) -> None:
    """Refuse whoever is not on this machine. Raises: Problem (403)."""
    peer = str(request.scope.get(PEER, ""))
    if (peer and not is_loopback(peer)) or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        problem(
            "forbidden", "Nobody is configured who may come from elsewhere; see the documentation on authentication."
        )


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
