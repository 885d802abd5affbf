"""Rounds: what a job that ended in failure does when a person has it run again.

A job's steps are remembered, so that a run after a crash goes on where the last one stopped. Once a job has come to its
end they are history: whoever retries it wants everything done anew. The end is noted just before the job fails. If the
worker dies between the two, a few milliseconds, the next run begins a new round, too.
"""

from corral.signals import Discard
from corral.worker.context import JobContext


async def current_round(ctx: JobContext) -> int:
    """Which round this is: 0 until the job has failed for good."""
    note = await ctx.recall(_key(ctx)) if ctx.fence > 1 else None
    return 0 if note is None else int(note)


async def end_round(ctx: JobContext, number: int, reason: str) -> Discard:
    """Note the end of a round; answers what to raise."""
    await ctx.note(_key(ctx), str(number + 1))
    return Discard(reason)


def _key(ctx: JobContext) -> str:
    # An id that a caller chose may come again for another job, and notes outlive their jobs.
    return f"round-{ctx.job.created_at}"
