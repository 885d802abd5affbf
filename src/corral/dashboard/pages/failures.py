"""Failures: what goes wrong, by kind, since when and how often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from starlette.responses import Response

from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import problem

WINDOWS = ("15m", "1h", "24h", "7d")
STATES = ("open", "muted")
#: An order, and what it is called.
SORTS = {"last": "newest first", "count": "most first", "first": "oldest kind first"}
#: How long a kind may be muted, in hours.
SILENCES = {1: "an hour", 4: "four hours", 24: "a day", 72: "three days", 168: "a week", 720: "30 days"}
#: What can be done to all jobs of a kind.
ASKED = ("retry", "remove", "mute")
#: Of the newest jobs of a kind: shown, and looked through for their tags.
SHOWN, READ = 10, 100
TAGS = 12


async def failures(visit: Visit) -> Response:
    """Kinds of failures, with their trend."""
    window, queue, state = _window(visit), visit.parameter("queue"), visit.parameter("state")
    sort, new = visit.parameter("sort"), visit.parameter("new") != ""
    sort, state = sort if sort in SORTS else "last", state if state in STATES else ""
    found = await visit.api.get(
        "/failures", window=window, queue=queue or None, state=state or None, sort=sort, new=new, limit=100,
        cursor=visit.parameter("cursor") or None,
    )  # fmt: skip
    return await visit.page(
        "failures.html", title="Failures", active="failures", failures=found, window=window, windows=WINDOWS,
        queue=queue, queues=await _queues(visit, queue), state=state, states=STATES, sort=sort, sorts=SORTS, new=new,
    )  # fmt: skip


def _window(visit: Visit) -> str:
    window = visit.parameter("window", "24h")
    return window if window in WINDOWS else "24h"


async def _queues(visit: Visit, queue: str) -> list[str]:
    """The names to choose from; the chosen one is among them, whatever it is."""
    found = cast(Mapping[str, object], await visit.api.get("/queues", limit=500, sort="name", fields="name"))
    names = [str(one["name"]) for one in cast("Sequence[Mapping[str, object]]", found["items"])]
    return names if queue in ("", *names) else [*names, queue]


async def failure(visit: Visit) -> Response:
    """One kind of failure with its newest jobs, in one queue or in all."""
    found = await _found(visit, newest=READ)
    newest = cast("Sequence[Mapping[str, object]]", found["newest"])
    tags = Counter(str(tag) for one in newest for tag in cast("Sequence[object]", one["tags"]))
    return await visit.page(
        "failure.html", title="Failure", active="failures", failure=found, queue=visit.parameter("queue"),
        window=_window(visit), newest=newest[:SHOWN], tags=tags.most_common(TAGS), read=len(newest),
    )  # fmt: skip


async def _found(visit: Visit, *, newest: int = 0) -> Mapping[str, object]:
    found = await visit.api.get(
        f"/failures/{part(visit.part('fp'))}", queue=visit.parameter("queue") or None, window=_window(visit),
        newest=newest,
    )  # fmt: skip
    return cast(Mapping[str, object], found)


async def ask(visit: Visit) -> Response:
    """Something done about all jobs of one kind: how many they are, and how it is to be done."""
    what = visit.part("what")
    if what not in ASKED:
        problem("not-found", f"Nothing called {what!r} can be done about a kind of failure.")
    return await visit.page(
        f"ask/failure_{what}.html", title="Mute" if what == "mute" else f"{what.capitalize()} all", active="failures",
        failure=await _found(visit), queue=visit.parameter("queue"), silences=SILENCES,
    )  # fmt: skip


PAGES = (
    ("GET", "/failures", failures),
    ("GET", "/failures/{fp}", failure),
    ("GET", "/failures/{fp}/ask/{what}", ask),
)
