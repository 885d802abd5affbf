"""Many jobs at once: what it would touch, whoever asks for it saying so, and the doing of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from starlette.responses import Response

from corral.admin.operations import TOLERANCE
from corral.dashboard.forms import Fields, fields_of, first, local
from corral.dashboard.visit import BULK, Visit
from corral.http.models.links import part, whole
from corral.http.problems import problem

#: So many are done without typing how many they are.
FEW = 100


@dataclass(frozen=True)
class Choice:
    """What is to be done, and with which jobs."""

    action: str
    query: str
    by_query: bool  #: all that the search finds, and not the ones that were chosen
    chosen: tuple[str, ...]
    target: str  #: where to go then

    @property
    def select(self) -> dict[str, object]:
        """The same as the API is asked for it."""
        if self.by_query:
            return {"q": self.query}
        parts = [one.split("/", 1) for one in self.chosen]
        return {"ids": [{"queue": whole(queue), "id": whole(id)} for queue, id in parts]}

    def needs_typing(self, count: int, *, danger: bool) -> bool:
        """Whether the number has to be typed."""
        return count > FEW or (self.action == "remove" and (count > 1 or danger))


async def bulk(visit: Visit) -> Response:
    """First what it would touch, then the doing of it."""
    fields = await fields_of(visit.request)
    choice = _choice(fields)
    if not choice.by_query and not choice.chosen:
        return visit.go(choice.target, done="No job was selected.")
    asked = {"action": choice.action, "select": choice.select}
    preview = cast(
        Mapping[str, object], (await visit.api.send("POST", "/jobs/bulk", body={**asked, "dry_run": True})).must()
    )
    count, exact = cast(int, preview["count"]), preview["exact"] is True
    if first(fields, "sure") == "":
        return await _ask(visit, choice, preview)
    wrong = _doubt(fields, count, exact=exact, typed=choice.needs_typing(count, danger=visit.danger))
    if wrong:
        return await _ask(visit, choice, preview, wrong)
    expect = {"expect": int(first(fields, "count"))} if choice.by_query and exact else {}
    reply = await visit.api.send(
        "POST", "/jobs/bulk", body={**asked, **expect, "reason": first(fields, "reason")[:1_000]}
    )
    said = cast(Mapping[str, object], reply.must())
    if reply.status == 202:
        return visit.go(f"/operations/{part(str(said['id']))}")
    return await visit.page(
        "bulk_done.html", title="Done", active="jobs", action=choice.action, outcome=said, target=choice.target
    )


def _choice(fields: Fields) -> Choice:
    action = first(fields, "action")
    if action not in BULK:
        problem("invalid-parameter", f"Nothing called {action!r} can be done with many jobs.", parameter="action")
    return Choice(
        action=action, query=first(fields, "q"), by_query=first(fields, "all") != "",
        chosen=tuple(dict.fromkeys(one for one in fields.get("job", ()) if "/" in one)),
        target=local(first(fields, "_next", "/jobs")),
    )  # fmt: skip


def _doubt(fields: Fields, count: int, *, exact: bool, typed: bool) -> str:
    """Why it is not sure that just this is meant; "" when it is. `count` is how many there are now, or more."""
    said = first(fields, "count")
    shown = int(said) if said.isdecimal() and len(said) < 12 else -1
    if shown < 0 or (exact and abs(count - shown) > shown * TOLERANCE):
        return f"There are {count:,} now. Nothing was done."
    if typed and first(fields, "typed").strip().replace(",", "") != said:
        return f"Type {count} to say that you mean it. Nothing was done."
    return ""


async def _ask(visit: Visit, choice: Choice, preview: Mapping[str, object], wrong: str = "") -> Response:
    count = cast(int, preview["count"])
    return await visit.page(
        "ask/bulk.html", title=f"{choice.action.capitalize()} many jobs", active="jobs", status=422 if wrong else 200,
        action=choice.action, query=choice.query, by_query=choice.by_query, chosen=choice.chosen, preview=preview,
        target=choice.target, wrong=wrong, typed=choice.needs_typing(count, danger=visit.danger),
    )  # fmt: skip


PAGES = (("POST", "/jobs/bulk", bulk),)
