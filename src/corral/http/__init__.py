"""The HTTP API: `create_app` for an application of its own, `api_router` for a part of yours.

Raises ConfigError where `corral[web]` is not installed.
"""

from importlib.util import find_spec

from corral.errors import ConfigError

if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "jwt", "cryptography")):
    raise ConfigError("the HTTP API needs FastAPI, uvicorn and PyJWT: pip install 'corral[web]'", key="web")

from corral.admin.rights import Permission, Principal
from corral.http.app import api_router, create_app
from corral.http.auth.passwords import hash_password
from corral.http.settings import ApiSettings

__all__ = ["ApiSettings", "Permission", "Principal", "api_router", "create_app", "hash_password"]
