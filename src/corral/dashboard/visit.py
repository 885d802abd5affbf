"""A visit: one request for a page, from who asks to the finished HTML."""

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import cast
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from corral.admin.acting import POSSIBLE
from corral.admin.rights import ROLES, Permission
from corral.dashboard import columns, flash
from corral.dashboard.asking import FORM, Asker
from corral.dashboard.templating import environment
from corral.dashboard.times import Times, chosen
from corral.http.home import Api
from corral.http.problems import Problem

#: Scripts, styles and pictures come from here and nowhere else; nothing stands in the page itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "
)
#: The parameter with the cursors of the pages before, and how long that may get.
TRAIL, LONGEST_TRAIL = "back", 1_800
#: What stays as it is in a path that is written anew.
PLAIN = "/~!$&'()*+,;=:@"
NOTHING: Mapping[str, object] = MappingProxyType({})
THEMES = ("system", "light", "dark")
THEME_COOKIE = "corral-theme"
#: What a form can be refused for that its author can mend: it is shown again as it was filled in.
MENDABLE = (400, 409, 412, 413, 422)
#: What is done at once with many jobs, and the right that it takes.
BULK: Mapping[str, str] = MappingProxyType(
    {"retry": Permission.JOB_RETRY, "promote": Permission.JOB_PROMOTE, "cancel": Permission.JOB_CANCEL,
     "remove": Permission.JOB_REMOVE}
)  # fmt: skip
#: What is known of where these can be done; lists also have jobs in other states, such as `paused`.
_STATES = frozenset(str(state) for states in POSSIBLE.values() for state in states)


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
        path = str(self.request.scope["path"])
        return path[len(self.root) :].startswith("/api/") if path.startswith(self.root) else path.startswith("/api/")

    @property
    def must_say_why(self) -> bool:
        """Whether each change needs a reason."""
        return self.home.settings.require_reason

    @property
    def danger(self) -> bool:
        """Whether what is removed here is missed: more has to be typed before it is."""
        return self.home.settings.env_danger

    @cached_property
    def nonce(self) -> str:
        """What a form is known by, that must not be sent twice."""
        return secrets.token_urlsafe(12)

    @property
    def badge(self) -> str:
        """The kind of the badge that says where this is."""
        return self.home.settings.env_color or ("red" if self.danger else "")

    def verbs(self, jobs: Sequence[Mapping[str, object]], may: Callable[[str], bool], others: bool) -> list[str]:
        """What can be done with many jobs of a list; with `others` there are more of them than are shown."""
        states = {str(job.get("state")) for job in jobs}
        return [
            verb for verb, right in BULK.items()
            if may(right) and (others or not states.isdisjoint(map(str, POSSIBLE[verb])) or states - _STATES)
        ]  # fmt: skip

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
        dropped = {*changes, TRAIL} if "cursor" in changes else {*changes}
        kept = {name: value for name, value in self.request.query_params.multi_items() if name not in dropped}
        return self.link(self.path, **{**kept, **changes})

    def onward(self, cursor: str) -> str:
        """The address of the next page of a list that goes only forward: the way here is kept in it."""
        trail = ".".join(filter(None, (self.parameter(TRAIL), self.parameter("cursor"))))
        while len(trail) > LONGEST_TRAIL:  # the way back then ends where that is forgotten
            trail = trail.partition(".")[2]
        return self.same_with(cursor=cursor, **{TRAIL: trail})

    @property
    def backward(self) -> str | None:
        """The address of the page before in such a list; None when that is the first one, or was forgotten."""
        way, _, before = self.parameter(TRAIL).rpartition(".")
        return self.same_with(cursor=before, **{TRAIL: way}) if before else None

    @cached_property
    def path(self) -> str:
        """This page's path as it was sent, without the mount's prefix: an id in it may hold a `/`, escaped."""
        path, sent = str(self.request.scope["path"]), self.request.scope.get("raw_path")
        text = sent.partition(b"?")[0].decode("latin-1") if isinstance(sent, bytes) else ""
        if unquote(text) != path:  # not known, or somebody in front has changed it
            text = quote(path, safe=PLAIN)
        for root in (quote(self.root, safe=PLAIN), self.root):
            if text.startswith(root):
                return quote(text[len(root) :], safe=f"{PLAIN}%") or "/"
        return quote(text, safe=f"{PLAIN}%")

    @property
    def here(self) -> str:
        """This page's address, without the mount's prefix."""
        query = str(self.request.url.query)
        return self.path + (f"?{query}" if query else "")

    # -- answers ---------------------------------------------------------------------------------------------------

    async def page(
        self, template: str, *, title: str, active: str = "", status: int = 200, more: Mapping[str, object] = NOTHING,
        **data: object,
    ) -> Response:  # fmt: skip
        """A whole page, in its shell. Raises: Problem, when the API does not say who asks."""
        me, stats, attention = await self._shell()
        word = flash.read(self.request, self.path)
        text = environment().get_template(template).render(
            **data, **more, visit=self, title=title, active=active, me=me, stats=stats, attention=attention,
            flash=word, theme=self.theme, label=self.home.settings.env_label, now=self.now,
            engine=self.home.url.partition(":")[0] or "store", may=_Rights(me), hour=timedelta(hours=1),
        )  # fmt: skip
        made = self._html(text, status)
        if word:
            flash.forget(self.request, made)
        return made

    def bare(
        self, template: str, *, title: str, status: int = 200, more: Mapping[str, object] = NOTHING, **data: object
    ) -> Response:
        """A page without the shell: for whoever is not known, and when the store does not answer."""
        text = environment().get_template(template).render(
            **data, **more, visit=self, title=title, theme=self.theme, label=self.home.settings.env_label, now=self.now
        )  # fmt: skip
        return self._html(text, status)

    def go(self, path: str, *, done: str = "") -> Response:
        """To another page, with a word about what was done, which is told there once."""
        made = RedirectResponse(self.root + path, status_code=303)
        if done:
            flash.keep(self.request, made, path, done)
        return made

    @property
    def theme(self) -> str:
        """`light`, `dark`, or what the system has."""
        wanted = self.request.cookies.get(THEME_COOKIE, THEMES[0])
        return wanted if wanted in THEMES else THEMES[0]

    @cached_property
    def times(self) -> Times:
        """How whoever looks wants moments told."""
        return chosen(self.request.cookies)

    @cached_property
    def view(self) -> columns.View:
        """How whoever looks wants tables of queues."""
        return columns.chosen(self.request.cookies)

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
        made.headers["Content-Security-Policy"] = POLICY + self.home.settings.framing
        made.headers["Cache-Control"] = "no-store"
        return made

    async def refused(self, found: Problem) -> Response:
        """The page for what cannot be shown: to the login, or what is wrong, in the shell if there can be one."""
        looking = self.request.method == "GET"
        if found.status == 401:
            target = self.here if looking and self.here != "/" else None
            return RedirectResponse(self.link("/login", next=target), status_code=303)
        data = {
            "problem": found, "request_id": str(self.request.scope.get("corral.request-id", "")),
            "roles": self._roles(found), "looking": looking,
        }  # fmt: skip
        if found.status < 500:
            try:
                return await self._problem(found, data)
            except Problem as again:
                if again.status == 401:
                    return await self.refused(again)
                if again.status == 429:
                    return self._busy(again, data | {"problem": again})
        return self.bare("away.html", title=found.title, status=found.status, store=self.home.url, more=data)

    async def _problem(self, found: Problem, data: Mapping[str, object]) -> Response:
        """What is wrong, in the shell; where only the reason is missing, the form again with a place for it."""
        fields = self.request.scope.get(FORM)
        if found.code == "reason-required" and fields is not None:
            title = "".join(fields.get("_text", ())) or "Say why"
            return await self.page("ask/why.html", title=title, status=found.status, fields=fields)
        typed = fields if fields and found.status in MENDABLE and self._was_filled_in(fields) else {}
        page = await self.page("problem.html", title=found.title, status=found.status, typed=typed, more=data)
        return _with_patience(page, found)

    def _was_filled_in(self, fields: Mapping[str, Sequence[str]]) -> bool:
        """Whether the form was more than a button: then what stood in it is not lost."""
        said = any(values[-1] for name, values in fields.items() if not name.startswith("_"))
        return said and self.path.startswith(("/do/", "/tokens/"))

    def _busy(self, found: Problem, data: Mapping[str, object]) -> Response:
        """Nothing can be asked any more for a while, not even who asks."""
        wait = found.more.get("retry_after_seconds")
        seconds = max(1, math.ceil(wait)) if isinstance(wait, int | float) else 5
        made = self.bare("busy.html", title=found.title, status=found.status, seconds=seconds, more=data)
        return _with_patience(made, found)

    def _roles(self, found: Problem) -> list[str]:
        """Who may do what somebody may not; unknown where the host application decides."""
        permission = found.more.get("permission")
        if found.code != "forbidden" or self.home.authorize is not None:
            return []
        return [role for role, given in ROLES.items() if permission in given]


def _with_patience(made: Response, found: Problem) -> Response:
    """An answer that says when to come back, if the problem does."""
    if "retry-after" in found.headers:
        made.headers["Retry-After"] = found.headers["retry-after"]
    return made


class _Rights:
    """What who asks may do: templates leave out buttons for the rest. The API refuses it in any case."""

    def __init__(self, me: Mapping[str, object]) -> None:
        given = me.get("permissions")
        self._all = frozenset(map(str, given)) if isinstance(given, list) else frozenset()

    def __call__(self, permission: str) -> bool:
        return permission in self._all
