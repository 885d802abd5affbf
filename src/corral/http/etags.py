"""ETags: which version of a thing somebody has seen, so that two people do not overwrite each other's changes."""

from hashlib import sha256

import msgspec
from starlette.requests import Request

from corral.http.problems import problem


def etag_of(*parts: object) -> str:
    """A strong tag of everything that a change would change."""
    return f'"{sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]}"'


def check_match(request: Request, etag: str) -> None:
    """Whether the caller means the version that is there.

    Raises:
        Problem: 428 without `If-Match`, 412 when it names another version.
    """
    given = request.headers.get("if-match")
    if given is None:
        problem("precondition-required", "Send the ETag that you have seen as If-Match, or * for any.", etag=None)
    if not matches(given, etag):
        problem("precondition-failed", "It has changed since you have seen it: read it again.", headers={"ETag": etag})


def matches(header: str, etag: str) -> bool:
    """Whether a list of tags names this one. A weak tag (W/…) never does."""
    tags = [one.strip() for one in header.split(",")]
    return "*" in tags or etag in tags


def unchanged(request: Request, etag: str) -> bool:
    """Whether the caller has this very version already (`If-None-Match`)."""
    given = request.headers.get("if-none-match")
    return given is not None and any(one.strip().removeprefix("W/") in (etag, "*") for one in given.split(","))
