"""The HTTP side as the environment wants it: `uvicorn examples.aibackend.server:api --port 8000`."""

from .api import make_api
from .app import app, settings

__all__ = ["api"]

api = make_api(app, settings)
