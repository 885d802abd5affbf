"""`app.flow`: flows on an application's store, also from code without an event loop."""

from typing import Any, Protocol, TypeVar

from corral.flow.dag import Dag
from corral.flow.flow import Flow
from corral.flow.node import Node
from corral.intake import Intake
from corral.storage.port import Storage
from corral.sync import Portal
from corral.timing import Seconds

R = TypeVar("R")


class Base(Protocol):
    """What flows need of the application."""

    intake: Intake

    async def open(self) -> Storage: ...

    def portal(self) -> Portal: ...


class AppFlow(Flow):
    """The flows of one application: its queues' defaults are in the nodes, its intake sees every job."""

    def __init__(self, base: Base) -> None:
        super().__init__(lambda: base.open(), intake=base.intake)  # looked up at each call: tests lend another store
        self._base = base

    def add_sync(self, what: Node[Any] | Dag, /, *, wait: Seconds = 0) -> list[str]:
        """Add from code without an event loop (Django, Flask, scripts); answers the ids of the jobs, the root's first.

        Of a graph, the jobs come in the order of their dependencies.

        Raises:
            ConfigError, QueueFullError: as for `add`; also inside a running event loop.
        """
        portal = self._base.portal()

        async def add() -> list[str]:
            flow = Flow(await portal.storage(), intake=self._base.intake)
            handle = await flow.add(what, wait=wait)
            return [job.id for job in handle.jobs]

        return portal.run(add)
