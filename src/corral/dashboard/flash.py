"""Flash: a word about what was done, for the next page and for that one only.

It travels in a cookie and not in the address: a link cannot make the dashboard say anything, and what was said is not
repeated by whoever reloads the page or passes its address on.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

#: Seconds until a word that nobody came for is forgotten, and how long it may be.
LIFE_S, LONGEST = 60, 200


def keep(request: Request, response: Response, path: str, word: str) -> None:
    """Say this word on the page at this path, which is without the mount's prefix."""
    said = f"{_place(path)}\n{word[:LONGEST]}"
    response.set_cookie(
        _name(request), urlsafe_b64encode(said.encode()).decode(), max_age=LIFE_S, path="/",
        secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip


def read(request: Request, path: str) -> str:
    """The word for the page at this path; "" when there is none, or one for another."""
    try:
        said = urlsafe_b64decode(request.cookies.get(_name(request), "")).decode()
    except ValueError:
        return ""
    place, _, word = said.partition("\n")
    return word[:LONGEST] if place == _place(path) else ""


def forget(request: Request, response: Response) -> None:
    """It has been said."""
    response.delete_cookie(
        _name(request), path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )


def _name(request: Request) -> str:
    # Over https no other site of the domain can set it.
    return "__Host-corral-done" if request.url.scheme == "https" else "corral-done"


def _place(path: str) -> str:
    return unquote(path.partition("?")[0].partition("#")[0]).replace("\n", " ")[:1_000]
