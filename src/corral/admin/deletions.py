"""The write model's verbs that begin to empty a queue in the background: for more jobs than one call should take."""

from collections.abc import Sequence

from corral.admin.base import Note
from corral.admin.emptying import kept_in
from corral.admin.ledger import Task
from corral.admin.objects import CLEAN, DRAIN, OBLITERATE, Operation
from corral.admin.operations import PAGE, Operations
from corral.admin.queues import CLEANABLE, QueueVerbs, check_clean, drained
from corral.job import JobState
from corral.naming import sortable_id
from corral.options import QueueSettings
from corral.pauses import Pause, note_pause
from corral.timing import Millis


class DeletionVerbs(QueueVerbs):
    """Drain, clean and obliterate as operations: with progress, and stopped when somebody wants it.

    Each is about the jobs that were there when it was asked for: a queue that fills as fast as it is emptied is through
    nevertheless. Raises (each verb): QueueNotFoundError: no such queue.
    """

    runner: Operations

    async def start_drain(self, queue: str, *, delayed: bool = False) -> Operation:
        """Begin to delete what waits, with `delayed` also what is due later. Running jobs go on."""
        states = drained(delayed=delayed)
        async with self._noting("queue.drain", queue=queue) as note:
            most = await self.drain(queue, delayed=delayed, dry_run=True)
            return await self._begin(note, DRAIN, queue, states, most=most, total=most)

    async def start_clean(
        self, queue: str, states: Sequence[JobState], *, older_ms: Millis = 0, limit: int = 1_000
    ) -> Operation:
        """Begin to delete jobs that are in these states for at least `older_ms`, at most so many.

        Raises:
            ConfigError: as for `clean`.
        """
        async with self._noting("queue.clean", queue=queue) as note:
            chosen = frozenset(states)
            check_clean(chosen, older_ms, limit)
            would = await self.clean(queue, states, older_ms=older_ms, limit=limit, dry_run=True)
            note.after = {"older_ms": older_ms, "limit": limit}
            return await self._begin(
                note, CLEAN, queue, chosen, most=limit, total=would.count if would.exact else None,
                older_ms=older_ms or None,
            )  # fmt: skip

    async def start_obliterate(self, queue: str, *, force: bool = False) -> Operation:
        """Begin to delete a queue and everything in it. It is paused first, and stays so if that is stopped.

        Raises:
            QueueBusyError: jobs of it run, and `force` is not given.
        """
        async with self._noting("queue.obliterate", queue=queue) as note:
            counts = await self._at_rest(queue, force=force)
            now, reason = self.ground.store_now(), self.reason or "it is being deleted"
            pause = Pause(since=self.ground.at(), by=self.actor.sub, reason=reason)
            await note_pause(self.storage, queue, pause, now=now)
            await self.storage.configure(queue, QueueSettings(paused=True, pause_reason=reason), now=now)
            most = kept_in(counts)
            return await self._begin(note, OBLITERATE, queue, CLEANABLE, most=most, total=most, force=force)

    async def _begin(
        self, note: Note, action: str, queue: str, states: frozenset[JobState], *, most: int, total: int | None,
        older_ms: Millis | None = None, force: bool = False,
    ) -> Operation:  # fmt: skip
        at, words = self.ground.at(), tuple(sorted(states))
        named = " ".join([f"queue:{quoted(queue)}", *([] if action == OBLITERATE else [f"state:{','.join(words)}"])])
        operation = Operation(
            id=f"op_{sortable_id(at)}", action=action, state="pending", query=named, queues=(queue,),
            by=self.actor.sub, reason=self.reason, created_at=at, total=total,
        )  # fmt: skip
        task = Task(
            shown=operation, actor=self.actor, queues=(queue,), states=words, most=most, older_ms=older_ms,
            force=force, collected=True,
        )  # fmt: skip
        await self.runner.ledger.open(task, (), PAGE, now=self.ground.store_now())
        note.target["operation"], note.count = operation.id, total
        self.runner.wake(operation.id)
        return operation


def quoted(text: str) -> str:
    """A text as a search has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
