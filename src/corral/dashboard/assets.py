"""Style sheets, scripts and pictures, from the package itself."""

from functools import cache
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from corral.dashboard.templating import STATIC

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
#: Addresses carry a version that changes with the file.
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in STATIC.iterdir() if path.suffix in _TYPES}


async def asset(request: Request) -> Response:
    """A static file. Only names that were there at the start are served: no path is ever made of what is asked for."""
    found = _files().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.\n", status_code=404, media_type="text/plain")
    lasting = _FOR_EVER if "v" in request.query_params else "no-cache"  # what a script imports has no version
    headers = {"Cache-Control": lasting, "ETag": f'"{sha256(found[0]).hexdigest()[:20]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(found[0], media_type=found[1], headers=headers)
