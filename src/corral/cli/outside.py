"""`corral doctor --public-url`: the HTTP API as people reach it, through whatever stands in front of it."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from corral.checks.objects import Check, Verdict
from corral.cli.backend.port import Row

PATIENCE = 10.0
#: What every answer of the API has.
HEADERS = ("x-content-type-options", "x-request-id", "content-security-policy")


def look(address: str, token: str | None = None) -> list[Row]:
    """Ask from outside: is it there, under this prefix, with its headers and over TLS? With a token: do events come?"""
    return [one.row() for one in _checks(address.rstrip("/"), token)]


def _checks(address: str, token: str | None) -> Iterator[Check]:
    if not address.startswith(("http://", "https://")):
        yield _bad("public", f"{address!r} is no address", "write https://host/path")
        return
    answer = _ask(f"{address}/livez")
    if isinstance(answer, str):
        yield _bad("public", f"{address}/livez does not answer: {answer}", "look at the proxy and at the API's --host")
        return
    if answer[0] == 404:
        yield _bad("public", f"there is no API below {address}", "give corral api the proxy's path: --root-path")
        return
    host = urlsplit(address).hostname or ""
    private = host in ("localhost", "::1") or host.startswith("127.")
    if not address.startswith("https://") and not private:
        yield Check(
            name="public", verdict=Verdict.WARNING, message=f"{address} is not encrypted: tokens can be read",
            fix="let the proxy speak https",
        )  # fmt: skip
    api = _ask(f"{address}/api/v1/")
    if isinstance(api, str):
        yield _bad("public", f"{address}/api/v1/ does not answer: {api}", "let the proxy pass all paths")
        return
    if api[0] == 200:
        yield Check(
            name="auth", verdict=Verdict.FAILED if not private else Verdict.WARNING,
            message=f"{address} answers anybody, without a token", fix="configure tokens, users or JWT for corral api",
        )  # fmt: skip
    elif api[0] == 401:
        yield Check(name="auth", verdict=Verdict.OK, message=f"{address} asks who is there")
    lost = [name for name in HEADERS if name not in api[1]]
    if lost:
        yield Check(
            name="public", verdict=Verdict.WARNING, message=f"the proxy takes headers away: {', '.join(lost)}",
            fix="let the proxy pass the API's headers",
        )  # fmt: skip
        return
    if token is not None and (trouble := _events(address, token)):
        yield Check(
            name="public", verdict=Verdict.WARNING, message=f"{address}/api/v1/events: {trouble}",
            fix="switch the proxy's buffering off for this path; nginx heeds X-Accel-Buffering",
        )  # fmt: skip
        return
    yield Check(name="public", verdict=Verdict.OK, message=f"{address} answers as it should")


def _bad(name: str, message: str, fix: str) -> Check:
    return Check(name=name, verdict=Verdict.FAILED, message=message, fix=fix)


def _events(address: str, token: str) -> str | None:
    """What is wrong with live events; None: their greeting came at once."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    request = urllib.request.Request(f"{address}/api/v1/events", headers=headers)  # noqa: S310  # checked by the caller
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            first = answer.readline()
            return None if first.startswith((b"event:", b"id:", b":", b"retry:")) else "what comes are no events"
    except urllib.error.HTTPError as error:
        with error:
            return f"it answers {error.code}"
    except TimeoutError:
        return "nothing comes: the proxy holds back what should come at once"
    except OSError as error:
        return str(getattr(error, "reason", error))


def _ask(address: str) -> tuple[int, frozenset[str]] | str:
    """Status and names of the headers of an answer, or why there is none."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:  # noqa: S310  # http or https, checked above
            return answer.status, frozenset(name.lower() for name in answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, frozenset(name.lower() for name in error.headers)
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
