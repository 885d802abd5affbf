"""The dashboard: pages over the HTTP API, for people. `create_dashboard` makes an application with both.

Raises ConfigError where `corral[web]` is not installed.
"""

from importlib.util import find_spec

from corral.errors import ConfigError

if any(find_spec(name) is None for name in ("fastapi", "jinja2", "uvicorn", "jwt", "cryptography")):
    raise ConfigError("the dashboard needs FastAPI, uvicorn, PyJWT and Jinja2: pip install 'corral[web]'", key="web")

from corral.dashboard.app import create_dashboard

__all__ = ["create_dashboard"]
