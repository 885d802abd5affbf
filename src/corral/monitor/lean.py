"""A store seen through narrow eyes: every job it gives is lean."""

from collections.abc import Sequence

from corral.job import Job, JobId, JobState
from corral.storage.insight import Page
from corral.storage.passing import Passing
from corral.storage.port import Children, Storage
from corral.timing import Millis


class LeanStorage(Passing):
    """For code that asks for whole jobs and whose answer is only shown: flows of a hundred payloads of 3 MB."""

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = True) -> list[Job | None]:
        return await self.inner.get(queue, ids, lean=True)

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = True, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        return await self.inner.page(
            queue, states, start=start, limit=limit, newest_first=newest_first, name=name, group=group, lean=True,
            ended_by=ended_by,
        )  # fmt: skip

    async def children(self, queue: str, job_id: JobId, *, lean: bool = True) -> Children:
        return await self.inner.children(queue, job_id, lean=True)

    def sibling(self) -> Storage:
        return LeanStorage(self.inner.sibling())
