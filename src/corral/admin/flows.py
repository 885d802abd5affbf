"""The write model's verbs about flows."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from msgspec.structs import replace

from corral.admin.bulk import BulkVerbs
from corral.admin.objects import Operation
from corral.admin.payloads import checked
from corral.app.app import Corral
from corral.errors import ConfigError
from corral.flow.flow import Flow, FlowHandle
from corral.flow.node import Node
from corral.flow.read import FlowTree
from corral.intake import OPEN
from corral.job import JobId, JobState

#: Jobs of a flow that are looked at; no flow is added with more.
MOST = 20_000
R = TypeVar("R")


class FlowVerbs(BulkVerbs):
    """Flows as a whole."""

    async def add_flow(self, node: Node[R]) -> FlowHandle[R]:
        """Add a tree of jobs, all or none. The handlers' types check the payloads.

        Raises:
            ConfigError: too many jobs, a name or id given twice. PayloadError: a payload is refused. UnknownJobError:
                nobody would run one. QueueFullError: no room.
        """
        async with self._noting("flow.add", queue=node.job.queue, name=node.job.name) as note:
            app = self.ground.app
            flow = Flow(self.storage, intake=OPEN if app is None else app.intake)
            handle = await flow.add(_checked(app, node))
            note.target["job"] = handle.root.id
            note.touched([job.id for job in handle.jobs])
            return handle

    async def retry_flow(
        self, queue: str, job_id: JobId, *, only_failed: bool = True, visible: Sequence[str] = ("*",)
    ) -> Operation:
        """Run the failed jobs at and below this one again, from below, so that those above wait for them again.

        With `only_failed` False all that have ended, completed ones too. Jobs of queues that do not fit `visible` are
        left out.

        Raises:
            JobNotFoundError: it is gone. ConfigError: there is nothing to run again.
        """
        async with self._noting("flow.retry", queue=queue, job=job_id) as note:
            tree = await Flow(self.storage).tree(queue, job_id, depth=MOST, limit=MOST)
            wanted = {JobState.FAILED} if only_failed else {JobState.FAILED, JobState.COMPLETED}
            ids = [(one.queue, one.id) for one in _upwards(tree) if one.job is not None and one.state in wanted]
            ids = [one for one in ids if any(fnmatchcase(one[0], pattern) for pattern in visible)]
            if not ids:
                raise ConfigError(f"flow {job_id!r} has no jobs to run again", key="flow")
            return await self._start(note, "retry", ids=ids, visible=tuple(visible))


def _checked(app: Corral | None, node: Node[R]) -> Node[R]:
    job = node.job
    made = replace(job, data=checked(app, job.queue, job.name, job.data))
    return replace(node, job=made, children=tuple(_checked(app, child) for child in node.children))


def _upwards(tree: FlowTree) -> list[FlowTree]:
    """All jobs of a flow, those that others wait for before them."""
    found: list[FlowTree] = []
    level = [tree]
    while level:
        found += level
        level = [child for one in level if not one.repeated for child in one.children]
    last = {(one.queue, one.id): one for one in found if not one.repeated}
    order = dict.fromkeys((one.queue, one.id) for one in reversed(found))  # the deepest place of each counts
    return [last[ref] for ref in order if ref in last]
