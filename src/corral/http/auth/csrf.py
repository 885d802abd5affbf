"""Cross-site requests: a browser sends what it remembers (cookies, a proxy's login) whichever site asks it to."""

from collections.abc import Sequence

from starlette.requests import HTTPConnection

from corral.http.problems import problem

#: Shown with each request by its sender's own doing: no other site can make a browser send them.
DELIBERATE = frozenset({"jwt", "token"})
#: Sent by the browser on its own: without a word on where the request comes from they do not count.
REMEMBERED = frozenset({"session", "proxy"})
#: Of a request that nobody has to be recognised for: whatever the browser sends along lends it nothing.
NOBODY = "nobody"


def check_site(request: HTTPConnection, method: str, allowed: Sequence[str]) -> None:
    """Refuse a change that another site asked for.

    Args:
        method: how the caller was recognised.
        allowed: origins that may ask.

    Raises:
        Problem: 403 `csrf-rejected`.
    """
    if method in DELIBERATE or request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if origin is not None and origin.lower() in allowed:
        return
    if site is not None:
        fits = site == "same-origin"
    elif origin is not None:
        fits = _is_own(request, origin.lower())
    else:  # no browser of the last ten years
        fits = method == NOBODY or (method not in REMEMBERED and "cookie" not in request.headers)
    if not fits:
        problem("csrf-rejected", "The request came from another site, or does not say from where it came.")


def _is_own(request: HTTPConnection, origin: str) -> bool:
    host = request.headers.get("host", "").lower()
    if request.url.scheme == "https":
        return origin == f"https://{host}"
    # A proxy that ends TLS and is not listed as trusted hides that it was https.
    return origin in (f"http://{host}", f"https://{host}")
