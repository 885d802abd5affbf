"""Ready-made Slack jobs: people, channels and messages fetched page by page, messages posted, channels looked after.

See `docs/handlers/slack.md`.
"""

from corral.handlers.kit.extra import need

need("slack", "slack_sdk", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.slack.api import (  # noqa: E402
    SlackApi,
    SlackAuthError,
    SlackBusyError,
    SlackError,
    SlackRefusedError,
)
from corral.handlers.slack.bundle import SYNC_JOBS, Managed, Posted, Synced, Tokens, bundle  # noqa: E402
from corral.handlers.slack.payload import ManageChannel, PostMessage, SyncSlack  # noqa: E402
from corral.handlers.slack.posting import escape  # noqa: E402
from corral.handlers.slack.settings import SlackSettings  # noqa: E402
from corral.handlers.slack.store import ChannelFacts, Message, User, Workspaces  # noqa: E402
from corral.handlers.slack.sync import OnMessages  # noqa: E402
from corral.handlers.slack.tables import SCHEMA  # noqa: E402

__all__ = [
    "SCHEMA",
    "SYNC_JOBS",
    "ChannelFacts",
    "ManageChannel",
    "Managed",
    "Message",
    "OnMessages",
    "PostMessage",
    "Posted",
    "SlackApi",
    "SlackAuthError",
    "SlackBusyError",
    "SlackError",
    "SlackRefusedError",
    "SlackSettings",
    "SyncSlack",
    "Synced",
    "Tokens",
    "User",
    "Workspaces",
    "bundle",
    "escape",
]
