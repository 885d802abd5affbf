"""A visit: one request for a page, from who asks to the finished HTML."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import cast
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from corral.dashboard.asking import Asker
from corral.dashboard.templating import environment
from corral.http.home import Api
from corral.http.problems import Problem

#: Scripts, styles and pictures come from here and nowhere else; nothing stands in the page itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOTHING: Mapping[str, object] = MappingProxyType({})
THEMES = ("system", "light", "dark")
THEME_COOKIE = "corral-theme"


class Visit:
    """One request for a page: what it asks of the API, and the page that becomes of it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.api = Asker(request)
        self.root = self.api.root
        self.now = datetime.now(UTC)

    @property
    def home(self) -> Api:
        """The API's own parts."""
        return cast(Api, self.request.app.state.corral)

    @property
    def is_for_api(self) -> bool:
        """Whether the address is one of the API's, which has none like it."""
        return self._path().startswith("/api/")

    def parameter(self, name: str, default: str = "") -> str:
        """A parameter of the address."""
        return self.request.query_params.get(name, default)[:2_000]

    def part(self, name: str) -> str:
        """A part of the path, as it was meant."""
        return str(self.request.path_params[name])

    def link(self, path: str, **parameters: str | None) -> str:
        """The address of a page below where the dashboard is mounted."""
        said = urlencode([(name, value) for name, value in parameters.items() if value])
        return f"{self.root}{path}" + (f"?{said}" if said else "")

    def same_with(self, **changes: str | None) -> str:
        """This page's address with other parameters; None takes one away."""
        kept = {name: value for name, value in self.request.query_params.multi_items() if name not in changes}
        return self.link(self._path(), **{**kept, **changes})

    def _path(self) -> str:
        path = str(self.request.scope["path"])
        return quote(path[len(self.root) :] if path.startswith(self.root) else path, safe="/~!$&'()*+,;=:@")

    @property
    def here(self) -> str:
        """This page's address, without the mount's prefix."""
        query = str(self.request.url.query)
        return self._path() + (f"?{query}" if query else "")

    # -- answers ---------------------------------------------------------------------------------------------------

    async def page(
        self, template: str, *, title: str, active: str = "", status: int = 200, more: Mapping[str, object] = NOTHING,
        **data: object,
    ) -> Response:  # fmt: skip
        """A whole page, in its shell. Raises: Problem, when the API does not say who asks."""
        me, stats, attention = await self._shell()
        flash = self.parameter("done")
        text = environment().get_template(template).render(
            **data, **more, visit=self, title=title, active=active, me=me, stats=stats, attention=attention,
            flash=flash, theme=self.theme, label=self.home.settings.env_label, now=self.now,
            engine=self.home.url.partition(":")[0] or "store", may=_Rights(me), hour=timedelta(hours=1),
        )  # fmt: skip
        return self._html(text, status)

    def bare(
        self, template: str, *, title: str, status: int = 200, more: Mapping[str, object] = NOTHING, **data: object
    ) -> Response:
        """A page without the shell: for whoever is not known, and when the store does not answer."""
        text = environment().get_template(template).render(
            **data, **more, visit=self, title=title, theme=self.theme, label=self.home.settings.env_label, now=self.now
        )  # fmt: skip
        return self._html(text, status)

    def go(self, path: str, *, done: str = "") -> Response:
        """To another page, with a word about what was done."""
        if done:
            path += ("&" if "?" in path else "?") + urlencode({"done": done})
        return RedirectResponse(self.root + path, status_code=303)

    @property
    def theme(self) -> str:
        """`light`, `dark`, or what the system has."""
        wanted = self.request.cookies.get(THEME_COOKIE, THEMES[0])
        return wanted if wanted in THEMES else THEMES[0]

    async def _shell(self) -> tuple[Mapping[str, object], Mapping[str, object] | None, int]:
        """Who asks, the numbers in the rail (None: they may not be seen), and how much wants attention."""
        me, stats, attention = await asyncio.gather(
            self.api.get("/me"), self.api.send("GET", "/stats"), self.api.send("GET", "/attention?limit=1")
        )
        numbers = stats.json if stats.status < 400 else None
        found = attention.json if attention.status < 400 else None
        total = found.get("total") if isinstance(found, dict) else None
        return (
            cast(Mapping[str, object], me),
            cast("Mapping[str, object] | None", numbers),
            int(total["value"]) if isinstance(total, dict) else 0,
        )

    def _html(self, text: str, status: int) -> Response:
        made = HTMLResponse(text, status_code=status)
        made.headers["Content-Security-Policy"] = POLICY
        made.headers["Cache-Control"] = "no-store"
        return made

    async def refused(self, found: Problem) -> Response:
        """The page for what cannot be shown: to the login, or what is wrong, in the shell if there can be one."""
        if found.status == 401:
            return RedirectResponse(self.link("/login", next=self.here if self.here != "/" else None), status_code=303)
        data = {"problem": found, "request_id": str(self.request.scope.get("corral.request-id", ""))}
        if found.status < 500:
            try:
                return await self.page("problem.html", title=found.title, status=found.status, more=data)
            except Problem as again:
                if again.status == 401:
                    return await self.refused(again)
        return self.bare("away.html", title=found.title, status=found.status, store=self.home.url, more=data)


class _Rights:
    """What who asks may do: templates leave out buttons for the rest. The API refuses it in any case."""

    def __init__(self, me: Mapping[str, object]) -> None:
        given = me.get("permissions")
        self._all = frozenset(map(str, given)) if isinstance(given, list) else frozenset()

    def __call__(self, permission: str) -> bool:
        return permission in self._all
