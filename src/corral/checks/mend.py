"""`mend`: what can be put right without a doubt. Nothing here touches a job that is there."""

from collections.abc import Sequence

from corral.admin.admin import Desk
from corral.checks.doctor import chosen, name_of
from corral.checks.objects import Mended
from corral.monitor.monitor import Monitor
from corral.plurals import plural
from corral.storage.checkup import contradictions, settle_contradictions
from corral.storage.port import Storage


async def mend(storage: Storage, url: str | None, desk: Desk, *, only: Sequence[str] = ()) -> list[Mended]:
    """Put right what is safe to put right: all of it, or these checks (by number or name); what was done.

    Ids without data leave their lists, counters are counted anew, locks that nobody holds go, jobs of workers that are
    gone go back into their queues, schedules without a next run get one. What costs anything is left to people.

    Raises:
        ConfigError: a check that does not exist.
    """
    wanted = chosen(only)
    done: list[Mended] = []
    names = [info.name for info in await storage.queues()]
    if not wanted or "stalled" in wanted:
        done += await _recover(storage, names)
    if not wanted or "schedules" in wanted:
        done += await _arm(storage, desk)
    if url is not None:
        for flaw in await contradictions(url, names):
            name = name_of(flaw.defect)
            if (not wanted or name in wanted) and await settle_contradictions(url, flaw):
                text = f"{flaw.queue}: {name} put right ({flaw.count:,})"
                done.append(Mended(name=name, message=text, queue=flaw.queue))
    return done


async def _recover(storage: Storage, names: Sequence[str]) -> list[Mended]:
    done = []
    for name in names:
        found = await storage.recover(name)
        count = len(found.requeued) + len(found.quarantined)
        if count:
            back = plural(count, "job is back in the queue", "jobs are back in the queue")
            text = f"{name}: {back}, of workers that are gone"
            done.append(Mended(name="stalled", message=text, queue=name))
    return done


async def _arm(storage: Storage, desk: Desk) -> list[Mended]:
    done = []
    lost = (await Monitor(storage).schedules(state="lost", limit=10_000)).items
    for row in lost:
        await desk.repair_schedule(row.queue, row.key)
        text = f"schedule {row.key} of {row.queue} has a next run again"
        done.append(Mended(name="schedules", message=text, queue=row.queue))
    return done
