"""Who one is, and logging in and out."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from corral.admin.rights import READING, Permission
from corral.http.deps import Api, Rate, caller, known, permitted, public
from corral.http.auth.csrf import check_site
from corral.http.auth.login import Login
from corral.http.auth.sessions import cookies_of, delete_cookie, set_cookie
from corral.http.guard import home_of

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
    expires_at: str | None


class Credentials(BaseModel):
    """A name and password, or the token that an unconfigured server has printed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "dan", "password": "…"}]})

    name: Annotated[str, Field(max_length=200)] | None = None
    password: Annotated[str, Field(max_length=1_024)] | None = None
    token: Annotated[str, Field(max_length=200)] | None = None
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
    expires_at: str
    token: str | None = Field(None, description="Only when `bearer` was asked for.")


@router.get("/me", dependencies=[known()], summary="Who you are and what you may do", operation_id="me")
async def me(request: Request) -> Me:
    home, who = home_of(request), caller(request)
    allowed = [one for one in Permission if await permitted(home, who, one)]
    if home.settings.read_only:
        allowed = [one for one in allowed if one in READING]
    return Me(
        sub=who.sub, roles=list(who.roles), permissions=[str(one) for one in allowed], queues=list(who.queues),
        method=who.method, read_only=home.settings.read_only,
        expires_at=None if who.expires_at is None else iso(who.expires_at),
    )  # fmt: skip
