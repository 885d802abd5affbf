"""`Admin`: everything that people change in a store, in one place, with one entry in the audit log each."""

from collections.abc import Callable

from corral.admin import audit
from corral.admin.about import AboutVerbs
from corral.admin.additions import AddVerbs
from corral.admin.base import Ground
from corral.admin.deletions import DeletionVerbs
from corral.admin.failures import FailureVerbs
from corral.admin.flows import FlowVerbs
from corral.admin.jobs import JobVerbs
from corral.admin.marks import MarkVerbs
from corral.admin.objects import Actor, AuditPage
from corral.admin.operations import Operations
from corral.admin.schedules import ScheduleVerbs
from corral.admin.searching import SearchVerbs
from corral.admin.tokens import TokenVerbs
from corral.admin.workers import WorkerVerbs
from corral.app.app import Corral
from corral.job import JobId
from corral.monitor.monitor import Monitor
from corral.storage.port import Storage
from corral.timing import Millis


class Desk(
    JobVerbs, AddVerbs, DeletionVerbs, AboutVerbs, ScheduleVerbs, FailureVerbs, FlowVerbs, WorkerVerbs, MarkVerbs,
    SearchVerbs, TokenVerbs,
):  # fmt: skip
    """What one person may ask for; who they are and why they do it stands in the audit log with each change.

    Whether they may is not asked here: see `corral.admin.rights`. Verbs that only look leave no entry.
    """

    def __init__(self, ground: Ground, runner: Operations, actor: Actor, reason: str = "") -> None:
        super().__init__(ground, actor, reason)
        self.runner = runner

    async def audit(
        self, *, actor: str | None = None, action: str | None = None, queue: str | None = None,
        job: JobId | None = None, since: Millis | None = None, until: Millis | None = None, before: str | None = None,
        limit: int = 50,
    ) -> AuditPage:  # fmt: skip
        """Audit entries that fit all that is given, newest first; at most 5,000 are looked at.

        Args:
            action: may end in `*`: `queue.*`.
            before: the `next` of the page before.

        Raises:
            ConfigError: a limit beyond 1 to 500.
        """
        wanted = audit.Wanted(actor=actor, action=action, queue=queue, job=job, since=since, until=until)
        return await audit.read(self.storage, wanted, before=before, limit=limit, now=self.ground.store_now())


class Admin:
    """The write model over an open store. Makes no connection of its own.

    Args:
        storage: the one that `monitor` looks at, behind the application's codecs if it has any.
        app: the application: its guards, payload types and schedules then hold for what people do.
        clock: epoch milliseconds, for tests; without it the machine's clock here and the store's own there.
    """

    def __init__(
        self, storage: Storage, monitor: Monitor, *, app: Corral | None = None,
        clock: Callable[[], Millis] | None = None,
    ) -> None:  # fmt: skip
        self.ground = Ground(storage, monitor, app=app, clock=clock)
        self.runner = Operations(self.ground)  #: carries out operations while its `run` is entered

    def __repr__(self) -> str:
        return f"Admin({self.ground.storage!r})"

    def by(self, actor: Actor, reason: str = "") -> Desk:
        """The verbs, for somebody: cheap, made for each request."""
        return Desk(self.ground, self.runner, actor, reason)
