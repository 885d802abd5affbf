"""The write model's verbs about flows."""

from corral.admin.bulk import BulkVerbs
from corral.admin.objects import Operation
from corral.errors import ConfigError
from corral.flow.flow import Flow
from corral.flow.read import FlowTree
from corral.job import JobId, JobState

#: Jobs of a flow that are looked at; no flow is added with more.
MOST = 20_000


class FlowVerbs(BulkVerbs):
    """Flows as a whole."""

    async def retry_flow(self, queue: str, job_id: JobId, *, only_failed: bool = True) -> Operation:
        """Run the failed jobs at and below this one again, from below, so that those above wait for them again.

        With `only_failed` False all that have ended, completed ones too.

        Raises:
            JobNotFoundError: it is gone. ConfigError: there is nothing to run again.
        """
        async with self._noting("flow.retry", queue=queue, job=job_id) as note:
            tree = await Flow(self.storage).tree(queue, job_id, depth=MOST, limit=MOST)
            wanted = {JobState.FAILED} if only_failed else {JobState.FAILED, JobState.COMPLETED}
            ids = [(one.queue, one.id) for one in _upwards(tree) if one.job is not None and one.state in wanted]
            if not ids:
                raise ConfigError(f"flow {job_id!r} has no jobs to run again", key="flow")
            return await self._start(note, "retry", ids=ids)


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
