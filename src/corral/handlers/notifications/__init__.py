"""Ready-made notifications: kudos, achievements, team updates and more, told in the application, by mail and push.

See `docs/handlers/notifications.md`.
"""

from corral.handlers.kit.extra import need

need(
    "notify", "apprise", "cryptography", "httpx2", "jwt", "sqlalchemy", "aiosqlite", "alembic"
)  # before it is imported

from corral.handlers.notifications.announcing import Announcer, NotTakenError  # noqa: E402
from corral.handlers.notifications.bundle import JOBS, Announced, Reached, bundle  # noqa: E402
from corral.handlers.notifications.payload import (  # noqa: E402
    Achievement,
    Announce,
    Channel,
    Keys,
    Kudos,
    Notify,
    Performer,
    Subscription,
    TeamUpdate,
)
from corral.handlers.notifications.people import EVERY_WAY, KnownPeople, People, Person  # noqa: E402
from corral.handlers.notifications.push import Pusher  # noqa: E402
from corral.handlers.notifications.settings import SCHEMAS, NotificationSettings  # noqa: E402
from corral.handlers.notifications.store import Browsers, Inbox, KudosBook, Note, Praise  # noqa: E402
from corral.handlers.notifications.tables import SCHEMA  # noqa: E402
from corral.handlers.notifications.telling import News, Teller, Told  # noqa: E402
from corral.handlers.notifications.webpush import Browser, Vapid, encrypt, new_vapid_key  # noqa: E402

__all__ = [
    "EVERY_WAY",
    "JOBS",
    "SCHEMA",
    "SCHEMAS",
    "Achievement",
    "Announce",
    "Announced",
    "Announcer",
    "Browser",
    "Browsers",
    "Channel",
    "Inbox",
    "Keys",
    "KnownPeople",
    "Kudos",
    "KudosBook",
    "News",
    "NotTakenError",
    "Note",
    "NotificationSettings",
    "Notify",
    "People",
    "Performer",
    "Person",
    "Praise",
    "Pusher",
    "Reached",
    "Subscription",
    "TeamUpdate",
    "Teller",
    "Told",
    "Vapid",
    "bundle",
    "encrypt",
    "new_vapid_key",
]
