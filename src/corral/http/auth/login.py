"""Logging in: by name and password, by an API token, or by the token that an unconfigured server has printed.

Whether there is such a user cannot be told from the answer, nor from how long it takes. Guessing is slowed down by
account and address together, so that nobody can keep somebody else out.
"""

import math

from starlette.requests import Request

from corral.http.auth.bearer import looks_signed
from corral.http.auth.lockout import Lockout
from corral.http.auth.passwords import BLOCK, COST, PASSES, Checker, Hashed
from corral.http.auth.recognise import Recogniser, check_here
from corral.http.auth.sessions import Session
from corral.http.limits import Limiter, Pace, take_by_network
from corral.http.problems import problem

#: Guesses from one address, for whichever account: four times what one account may have.
SPRAYED = 4
#: Who is logged in by the printed token.
LOCAL = "local"
_USED_UP = "The token is not valid; it is good for one login, and a new start prints another."
_NO_SUCH = "There is no such token, or it has ended."
_SIGNED = " A signed token is shown with each request, in the header Authorization."
_NOBODY = Hashed(COST, BLOCK, PASSES, b"corral-nobody-is", bytes(32))


class Login:
    """Starts sessions."""

    def __init__(self, recogniser: Recogniser, limiter: Limiter, pace: Pace) -> None:
        self.lockout = Lockout(seconds=limiter.seconds)
        self._recogniser = recogniser
        self._limiter = limiter
        self._pace = pace
        self._checker = Checker()
        # As dear as a real one, so that the time says nothing.
        self._like = next((user.password for user in recogniser.users.values()), _NOBODY)

    async def by_password(self, name: str, password: str, address: str) -> tuple[Session, str]:
        """A session of this user. Raises: Problem (401; 429 when there were too many guesses)."""
        key = (name.casefold(), address)
        self._slow(key, address)
        user = self._recogniser.users.get(name)
        if not await self._checker.fits(password, None if user is None else user.password, self._like):
            self.lockout.failed(key)
            problem("login-failed", "Name and password do not fit.")
        self.lockout.passed(key)
        assert user is not None
        return self._recogniser.sessions.start(user.name, "users")

    async def by_token(self, token: str, request: Request, address: str) -> tuple[Session, str]:
        """A session of whoever has an API token, or the printed one. Raises: Problem (401, 403, 429)."""
        # A token of the store says which it is: whoever guesses at one does not keep its neighbours out.
        key = ("", token[: len("crl_") + 10], address) if token.startswith("crl_") else ("", address)
        self._slow(key, address)
        if self._recogniser.closed:
            check_here(request)
        if self._recogniser.use_once(token):
            return self._recogniser.sessions.start(LOCAL, "once")
        found = await self._recogniser.log_in(token)
        if found is None:
            self.lockout.failed(key)
            if self._recogniser.closed:
                problem("login-failed", _USED_UP)
            problem("login-failed", _NO_SUCH + (_SIGNED if looks_signed(token) else ""))
        self.lockout.passed(key)
        return found

    async def by_address(self, token: str, request: Request, address: str) -> tuple[Session, str]:
        """A session of whoever sits at this machine; the token is used up. Raises: Problem (401, 403, 429)."""
        key = ("", address)
        self._slow(key, address)
        if self._recogniser.closed:
            check_here(request)
        if not self._recogniser.use_once(token):
            self.lockout.failed(key)
            problem("login-failed", _USED_UP)
        return self._recogniser.sessions.start(LOCAL, "once")

    def _slow(self, key: tuple[str, ...], address: str) -> None:
        """Refuse a guess that comes too soon, right or wrong. Raises: Problem (429)."""
        wide = Pace(self._pace.count * SPRAYED, self._pace.seconds, self._pace.burst * SPRAYED)
        everybody = take_by_network(self._limiter, ("login", "from"), address, wide)
        if not everybody.allowed:  # before the account's own: a flood of addresses takes no places there
            self._wait(everybody.retry_after)
        verdict = self._limiter.take(("login", *key), self._pace)
        if not verdict.allowed:
            self._wait(verdict.retry_after)
        waits = self.lockout.wait(key)
        if waits:
            self._wait(waits)

    def _wait(self, seconds: float) -> None:
        whole = max(1, math.ceil(seconds))
        problem(
            "rate-limited", f"Too many attempts; try again in {whole} s.", headers={"Retry-After": str(whole)},
            retry_after_seconds=whole, policy="login",
        )  # fmt: skip
