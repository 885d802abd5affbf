"""The outbox: jobs added in a transaction of any database, and carried into the store exactly once."""

from corral.outbox.outbox import Aside as Aside
from corral.outbox.outbox import Outbox as Outbox
from corral.outbox.relay import Relay as Relay
from corral.outbox.table import Tables as Tables
