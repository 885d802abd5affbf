"""What the parts of the direct back end stand on."""

from typing import Protocol

from corral.admin.admin import Admin, Desk
from corral.app.app import Corral
from corral.monitor.monitor import Monitor
from corral.storage.port import Storage


class Parts(Protocol):
    """What `Direct` has, as its mixins see it."""

    storage: Storage
    url: str
    app: Corral | None
    monitor: Monitor
    admin: Admin
    desk: Desk
