"""Health checks and how they answer: the paths of kube-apiserver, for probes, load balancers and people. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import parse_qs

from msgspec import Struct

TEXT, JSON = "text/plain; charset=utf-8", "application/json"
#: A path that load balancers know, and what it stands for.
ALIASES = {"healthz": "readyz", "health": "readyz"}


class Check(Struct, frozen=True):
    """One thing that is looked at. `ask` answers why it is not well, or None when it is."""

    name: str
    ask: Callable[[], str | None]


#: By endpoint: `livez`, `readyz`, `startupz`.
Checks: TypeAlias = Mapping[str, Sequence[Check]]


class Answer(Struct, frozen=True):
    """What goes back over HTTP."""

    status: int
    type: str
    body: str


def respond(checks: Checks, path: str, *, query: str = "", accept: str = "", details: bool = False) -> Answer | None:
    """The answer of `/readyz` and its kin; None for a path that is no endpoint.

    200 when all is well, else 503. `?verbose` lists the checks, `?exclude=name` leaves one out, `/readyz/name` asks for
    one alone, and `Accept: application/json` brings the list as JSON. Why a check is not well is told with `details`
    only: an address or a path is nobody's business.
    """
    endpoint, _, single = path.strip("/").partition("/")
    endpoint = ALIASES.get(endpoint, endpoint)
    if endpoint not in checks:
        return None
    wanted = [check for check in checks[endpoint] if not single or check.name == single]
    if single and not wanted:
        return Answer(404, TEXT, f"{endpoint} has no check of this name\n")
    asked = parse_qs(query, keep_blank_values=True)
    left_out = set(asked.get("exclude", ()))
    found = [(check.name, check.ask()) for check in wanted if check.name not in left_out]
    well = all(reason is None for _, reason in found)
    status = 200 if well else 503
    if "application/json" in accept:
        return Answer(status, JSON, _document(found, well=well, details=details))
    if "verbose" in asked or not well:
        return Answer(status, TEXT, _lines(endpoint, found, sorted(left_out), well=well, details=details))
    return Answer(status, TEXT, "ok")


def _document(found: Sequence[tuple[str, str | None]], *, well: bool, details: bool) -> str:
    checks = [
        {"name": name, "ok": reason is None, **({"reason": reason} if reason is not None and details else {})}
        for name, reason in found
    ]
    return json.dumps({"status": "ok" if well else "failed", "checks": checks})


def _lines(
    endpoint: str, found: Sequence[tuple[str, str | None]], left_out: Sequence[str], *, well: bool, details: bool
) -> str:
    rows = [
        f"[+]{name} ok" if reason is None else f"[-]{name} failed: {reason if details else 'reason withheld'}"
        for name, reason in found
    ]
    rows += [f"[ ]{name} left out" for name in left_out if name.isprintable()]
    rows.append(f"{endpoint} check {'passed' if well else 'failed'}")
    return "\n".join(rows) + "\n"
