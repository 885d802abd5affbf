"""Who one is, and logging in and out."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from corral.admin.rights import READING, Permission
from corral.http.auth.csrf import NOBODY, check_site
from corral.http.auth.sessions import cookies_of, delete_cookie, set_cookie
from corral.http.deps import Rate, caller, known, public
from corral.http.guard import address_of, home_of, network_of, permitted
from corral.http.models.base import Time, moment, when
from corral.http.openapi import PROBLEM_RESPONSE
from corral.http.problems import problem
from corral.timing import now_ms

router = APIRouter(tags=["meta"])


class Me(BaseModel):
    """Who asks, and what they may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sub": "dan@example.com", "roles": ["operator"], "permissions": ["job:read", "job:retry"],
                    "queues": ["mail*"], "method": "jwt", "read_only": False, "expires_at": "2026-06-19T10:30:00.000Z",
                }
            ]
        }
    )  # fmt: skip

    sub: str
    roles: list[str]
    permissions: list[str]
    queues: list[str]
    method: str
    read_only: bool
    expires_at: Time | None


class Credentials(BaseModel):
    """A name and password, or a token: one of the API's, or the one that an unconfigured server has printed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "dan", "password": "…"}]})

    name: Annotated[str, Field(max_length=200)] | None = None
    password: Annotated[str, Field(max_length=1_024)] | None = None
    token: Annotated[str, Field(max_length=1_024)] | None = None
    bearer: bool = Field(False, description="Answer the session as a bearer token too, for programs without cookies.")

    @model_validator(mode="after")
    def _one_way(self) -> "Credentials":
        if (self.token is None) == (self.name is None or self.password is None):
            raise ValueError("give name and password, or token")
        return self


class LoggedIn(BaseModel):
    """A session has begun; the cookie of the answer stands for it."""

    sub: str
    roles: list[str]
    expires_at: Time
    token: str | None = Field(None, description="Only when `bearer` was asked for.")


@router.get("/me", dependencies=[known()], summary="Who you are", operation_id="me", responses=PROBLEM_RESPONSE)
async def me(request: Request) -> Me:
    """Who you are to this API, and what you may do."""
    home, who = home_of(request), caller(request)
    allowed = [one for one in Permission if await permitted(home, who, one)]
    if home.settings.read_only:
        allowed = [one for one in allowed if one in READING]
    return Me(
        sub=who.sub, roles=list(who.roles), permissions=[str(one) for one in allowed], queues=list(who.queues),
        method=who.method, read_only=home.settings.read_only, expires_at=when(who.expires_at),
    )  # fmt: skip


@router.post("/login", dependencies=[public(rate=Rate.WRITE)], summary="Log in", operation_id="login")
async def login(request: Request, response: Response, given: Credentials) -> LoggedIn:
    """Begin a session, by name and password or by a token.

    The token is one of the API's, whose rights the session has and with which it ends, or the one that an unconfigured
    server prints when it starts. Signed tokens (JWT) begin none: they are shown with each request.

    After three wrong guesses each further one has to wait, up to 15 minutes.
    """
    home = home_of(request)
    check_site(request, NOBODY, home.settings.allowed_origins)
    address = network_of(address_of(request))
    if given.token is not None:
        session, text = await home.login.by_token(given.token, request, address)
    else:
        session, text = await home.login.by_password(given.name or "", given.password or "", address)
    set_cookie(request, response, text, (session.expires_at - now_ms()) // 1000)
    who = await home.recogniser.whose(session)
    return LoggedIn(
        sub=session.sub, roles=[] if who is None else list(who.roles), expires_at=moment(session.expires_at),
        token=text if given.bearer else None,
    )  # fmt: skip


@router.get(
    "/login", dependencies=[public(rate=Rate.WRITE)], summary="Log in by the printed address",
    operation_id="login_by_address", status_code=303, include_in_schema=False,
)  # fmt: skip
async def login_by_address(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Begin a session with the token of the address that `corral dev` prints, and go on to the first page.

    The token is good for one login, so that it may stand in a browser's history. Nobody but this machine is served.
    """
    home = home_of(request)
    if not home.local_only:
        problem("not-found", "Only servers that nobody has configured print an address to log in by.")
    session, text = await home.login.by_address(token, request, network_of(address_of(request)))
    root = request.scope.get("root_path", "").rstrip("/")
    response = RedirectResponse(root + home.front, status_code=303)
    set_cookie(request, response, text, (session.expires_at - now_ms()) // 1000)
    return response


@router.post(
    "/logout", dependencies=[public(rate=Rate.WRITE)], summary="Log out", operation_id="logout", status_code=204
)
async def logout(request: Request) -> Response:
    """End the session; whoever has a copy of its cookie has nothing any more."""
    home = home_of(request)
    sessions = home.recogniser.sessions
    for text in _shown(request):
        session = sessions.read(text)
        if session is not None:
            check_site(request, "session", home.settings.allowed_origins)
            await sessions.end(session, await home.store())
    response = Response(status_code=204)
    delete_cookie(request, response)
    return response


def _shown(request: Request) -> list[str]:
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    return [*cookies_of(request), *([word.strip()] if scheme.lower() == "bearer" else [])]
