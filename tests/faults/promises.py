"""What handlers saw, checked: finished steps are not done again, and who waited for others finds them all ended."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from corral.storage.connect import connect
from tests.faults.books import Key, Row
from tests.faults.forks import lines
from tests.faults.scene import Scene


def steps(scene: Scene) -> Iterator[str]:
    """Once a step has answered it is not begun by a later run, and it always answers the same."""
    values: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    first: dict[tuple[str, str, str], int] = {}
    for queue, job_id, step, fence, value in (line.split() for line in lines(scene.done)):
        key = (queue, job_id, step)
        values[key].add(value)
        first[key] = min(int(fence), first.get(key, int(fence)))
    for (queue, job_id, step), found in values.items():
        if len(found) > 1:
            yield f"twice: {step} of {queue}/{job_id} answered {len(found)} different values"
    for queue, job_id, step, fence in (line.split() for line in lines(scene.begun)):
        ended = first.get((queue, job_id, step))
        if ended is not None and int(fence) > ended:
            yield f"twice: {step} of {queue}/{job_id} ended in run {ended} and was begun again in run {fence}"


def merges(scene: Scene) -> Iterator[str]:
    """Whoever waits for so many jobs runs when none of them is pending, and knows how each of them ended."""
    for line in lines(scene.merges):
        queue, job_id, *numbers = line.split()
        expected, completed, failed, pending = map(int, numbers)
        if pending:
            yield f"early: {queue}/{job_id} ran while {pending} of those it waits for were pending"
        elif completed + failed != expected:
            yield f"lost: {queue}/{job_id} waits for {expected} jobs and knows of {completed} + {failed} ends"


def kept(scene: Scene, there: set[str]) -> Iterator[str]:
    """What was kept back last was added when the job that kept it back had ended. (That it was once, `_bulks` says.)"""
    yield from (f"lost: {name} was kept back and never added" for name in lines(scene.kept) if name not in there)


async def failures(scene: Scene, rows: Mapping[Key, Row]) -> list[str]:
    """Every verdict that is no completion is counted under its kind, once: in `main` only first attempts fail."""
    async with connect(scene.url) as storage:
        kinds = (await storage.failures("main", start=0, limit=100)).items
    counted = sum(kind.attempts for kind in kinds if kind.last_name == "flaky")
    failed = sum(
        row.made - (row.state == "completed") for (queue, _), row in rows.items() if queue == "main" and row.made
    )
    return [f"twice: {counted} failed attempts are counted, {failed} were"] if counted != failed else []
