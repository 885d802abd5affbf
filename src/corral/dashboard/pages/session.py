"""Login, logout, and what somebody likes the pages to look like."""

from starlette.responses import RedirectResponse, Response

from corral.dashboard import columns, times
from corral.dashboard.forms import Fields, fields_of, first, local
from corral.dashboard.visit import THEME_COOKIE, THEMES, Visit
from corral.http.problems import Problem, problem

YEAR_S = 31_536_000


async def login(visit: Visit) -> Response:
    """The form to log in with. A one-time token in the address fills it in."""
    return _form(visit, visit.parameter("next", "/"), token=visit.parameter("token") if visit.home.local_only else "")


def _form(visit: Visit, target: str, *, token: str = "", problem: Problem | None = None) -> Response:
    """The ways to log in that there are here."""
    home = visit.home
    methods = home.settings.methods
    ways = {
        "names": bool(home.recogniser.users), "tokens": "tokens" in methods, "signed": "jwt" in methods,
        "proxy": "proxy" in methods, "host": home.authenticate is not None,
    }  # fmt: skip
    return visit.bare(
        "login.html", title="Log in", status=200 if problem is None else problem.status, next=target, token=token,
        problem=problem, local=home.local_only, ways=ways,
    )  # fmt: skip


async def log_in(visit: Visit) -> Response:
    """Begin a session, by name and password, by an API token or by the printed one."""
    fields = await fields_of(visit.request)
    token, target = first(fields, "token").strip(), local(first(fields, "next", "/"))
    given = {"token": token} if token else {"name": first(fields, "name"), "password": first(fields, "password")}
    reply = await visit.api.send("POST", "/login", body=given)
    try:
        reply.must()
    except Problem as found:
        return _form(visit, target, problem=found)
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
    """Keep choices of colours, times and columns in cookies, so that the first byte of the next page has them."""
    fields = await fields_of(visit.request)
    made = RedirectResponse(visit.root + local(first(fields, "_next", "/")), status_code=303)
    secure = visit.request.url.scheme == "https"
    for name, value in _liked(fields).items():
        made.set_cookie(name, value, max_age=YEAR_S, path="/", samesite="lax", secure=secure, httponly=False)
    return made


def _liked(fields: Fields) -> dict[str, str]:
    """Cookies for what a form chooses. Raises: Problem: there is no such time zone."""
    theme, form, zone, here = (first(fields, name).strip() for name in ("theme", "times", "zone", "here"))
    liked = {THEME_COOKIE: theme} if theme in THEMES else {}
    if first(fields, "table") == "queues":
        liked[columns.COLUMNS_COOKIE] = ".".join(one for one in columns.COLUMNS if one in fields.get("column", ()))
        liked[columns.FOLD_COOKIE] = "prefix" if first(fields, "fold") else "none"
    if form in times.FORMS:
        liked[times.FORM_COOKIE] = form
    if zone:
        zone = next((one for one in (times.LOCAL, "UTC") if one.lower() == zone.lower()), zone)
        if zone != times.LOCAL and times.zone_of(zone) is None:
            problem("invalid-parameter", f"There is no time zone {zone[:80]!r}. Say UTC, local, or a name such as "
                    "Europe/Oslo.", parameter="zone")  # fmt: skip
        liked[times.ZONE_COOKIE] = zone
    if here and times.zone_of(here) is not None:
        liked[times.HERE_COOKIE] = here
    return liked


PAGES = (
    ("GET", "/login", login),
    ("POST", "/login", log_in),
    ("POST", "/logout", log_out),
    ("POST", "/preferences", like),
)
