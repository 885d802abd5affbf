"""The write model's verbs that make new jobs: add, and run an old one again as a new one."""

from collections.abc import Sequence
from typing import Unpack

from msgspec.structs import replace

from corral.admin.base import DeskBase
from corral.admin.payloads import checked, draft, readable
from corral.errors import ConfigError, JobNotFoundError
from corral.intake import OPEN
from corral.job import JobId, NewJob, check_name
from corral.keywords import AddKeywords
from corral.options import JobOptions
from corral.queue.adding import MAX_BULK, add_all
from corral.storage.port import Added, Selection


class AddVerbs(DeskBase):
    """New jobs. They pass the application's enqueue middleware and guards, as those do that its code adds."""

    def draft(self, queue: str, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> NewJob:
        """The job as it would be added, with what the application declares for it. Nothing is written.

        Raises:
            PayloadError, ConfigError: what was given is refused. UnknownJobError: nobody would run it.
        """
        return draft(self.ground.app, queue, name, data, **options)

    async def add(self, queue: str, jobs: Sequence[NewJob]) -> list[Added]:
        """Add jobs to a queue, all or none; answers in order. The handlers' types check the payloads.

        Raises:
            ConfigError: none, too many, or one for another queue. PayloadError: a payload is refused. UnknownJobError:
                nobody would run it. QueueFullError: no room.
        """
        names = {job.name for job in jobs}
        async with self._noting("job.add", queue=queue, name=names.pop() if len(names) == 1 else None) as note:
            check_name(queue, "queue name")
            if not 1 <= len(jobs) <= MAX_BULK or any(job.queue != queue for job in jobs):
                raise ConfigError(f"jobs must be 1 to {MAX_BULK:,} for queue {queue!r}", key="jobs")
            made = [replace(job, data=checked(self.ground.app, queue, job.name, job.data)) for job in jobs]
            added = await self._admit(made)
            note.touched([one.id for one in added if one.fresh])
            if len(added) == 1:
                note.target["job"] = added[0].id
            return added

    async def rerun(
        self, queue: str, job_id: JobId, *, data: str | None = None, name: str | None = None,
        to_queue: str | None = None, options: JobOptions | None = None, remove_old: bool = False,
    ) -> Added:  # fmt: skip
        """Add a new job like an old one, which may be in any state; it remembers which one it was made from.

        It keeps the payload, the priority, the group and the options, not the old one's place in a flow or a trace,
        its schedule or its deduplication.

        Args:
            data: another payload, as JSON text.
            name, to_queue: another handler, another queue.
            options: win over the old job's own.
            remove_old: delete the old job afterwards, unless it runs.

        Raises:
            JobNotFoundError: it is gone. ConfigError: its payload cannot be opened here. As for `add`.
        """
        async with self._noting("job.rerun", queue=queue, job=job_id, to_queue=to_queue, name=name) as note:
            [old] = await self.storage.get(queue, [job_id])
            if old is None:
                raise JobNotFoundError(queue, job_id)
            home = queue if to_queue is None else check_name(to_queue, "queue name")
            called = old.name if name is None else check_name(name, "job name")
            said = old.options if options is None else options.over(old.options)
            job = NewJob(
                queue=home,
                name=called,
                data=checked(self.ground.app, home, called, readable(old).data if data is None else data),
                priority=old.priority,
                group=old.group,
                options=replace(said, letter=None, trace=None, rerun_of=f"{queue}/{job_id}"),
            )
            [added] = await self._admit([job])
            note.touched([added.id])
            note.after = {"queue": home, "id": added.id}
            if remove_old:
                gone = await self.storage.remove(queue, Selection(ids=(job_id,)), now=self.ground.store_now())
                note.after = {**note.after, "removed": bool(gone)}
            return added

    async def _admit(self, jobs: Sequence[NewJob]) -> list[Added]:
        app = self.ground.app
        storage, now = self.storage, self.ground.store_now()
        if now is None:
            return await add_all(storage, jobs, OPEN if app is None else app.intake)
        admitted = jobs if app is None else await app.intake.admit(jobs)
        return await storage.add(admitted, now=now)
