"""Login, logout, and what somebody likes the pages to look like."""

from starlette.responses import RedirectResponse, Response

from corral.dashboard.forms import fields_of, first, local
from corral.dashboard.visit import THEME_COOKIE, THEMES, Visit
from corral.http.auth.csrf import NOBODY, check_site
from corral.http.problems import Problem

YEAR_S = 31_536_000


async def login(visit: Visit) -> Response:
    """The form to log in with. A one-time token in the address fills it in."""
    return visit.bare(
        "login.html", title="Log in", next=visit.parameter("next", "/"), token=visit.parameter("token"), problem=None,
        local=visit.home.local_only,
    )  # fmt: skip


async def log_in(visit: Visit) -> Response:
    """Begin a session, by name and password or by the printed token."""
    fields = await fields_of(visit.request)
    token, target = first(fields, "token").strip(), local(first(fields, "next", "/"))
    given = {"token": token} if token else {"name": first(fields, "name"), "password": first(fields, "password")}
    reply = await visit.api.send("POST", "/login", body=given)
    try:
        reply.must()
    except Problem as found:
        return visit.bare(
            "login.html", title="Log in", status=found.status, next=target, token="", problem=found,
            local=visit.home.local_only,
        )  # fmt: skip
    made = RedirectResponse(visit.root + target, status_code=303)
    made.headers["Set-Cookie"] = reply.headers["set-cookie"]
    return made


async def log_out(visit: Visit) -> Response:
    """End the session."""
    reply = await visit.api.send("POST", "/logout")
    reply.must()
    made = RedirectResponse(visit.link("/login"), status_code=303)
    if "set-cookie" in reply.headers:
        made.headers["Set-Cookie"] = reply.headers["set-cookie"]
    return made


async def like(visit: Visit) -> Response:
    """Keep a choice of colours in a cookie, so that the first byte of the next page has them."""
    check_site(visit.request, NOBODY, visit.home.settings.allowed_origins)
    fields = await fields_of(visit.request)
    theme = first(fields, "theme")
    made = RedirectResponse(visit.root + local(first(fields, "_next", "/")), status_code=303)
    if theme in THEMES:
        secure = visit.request.url.scheme == "https"
        made.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, path="/", samesite="lax", secure=secure, httponly=False)
    return made


PAGES = (
    ("GET", "/login", login),
    ("POST", "/login", log_in),
    ("POST", "/logout", log_out),
    ("POST", "/preferences", like),
)
