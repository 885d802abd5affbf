"""Kinds of failures as a whole, and what nobody wants to hear of for a while."""

import pytest

from corral.admin.admin import Admin, Desk
from corral.errors import ConfigError, RecordNotFoundError
from corral.job import JobState
from corral.outcome import Failed
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, end, new_job, start_one, the

from .helpers import carried_out, entries, failed_jobs, last_entry, states


async def test_all_failures_of_a_kind_are_run_again(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a", "b")
    await failed_jobs(storage, "c", kind="other")
    await failed_jobs(storage, "x", queue="sync")
    ended = await carried_out(admin, await desk.retry_failures("9f31c2", QUEUE))
    assert (ended.done, ended.query) == (2, 'fingerprint:"9f31c2" queue:"mail"')
    assert await states(storage, "a", "b", "c") == ["waiting", "waiting", "failed"]
    assert (await carried_out(admin, await desk.retry_failures("9f31c2", visible=["nothing"]))).done == 0
    assert (await carried_out(admin, await desk.retry_failures("9f31c2"))).done == 1
    entry = (await entries(desk))[-1]
    assert (entry.action, entry.target["failure"]) == ("failure.retry", "9f31c2")


async def test_failures_come_back_one_after_the_other(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a", "b", "c")
    await carried_out(admin, await desk.retry_failures("9f31c2", QUEUE, every_ms=1_000))
    assert [(await the(storage, one)).run_at for one in ("b", "c")] == [T0 + 1_000, T0 + 2_000]
    with pytest.raises(ConfigError, match="every_ms"):
        await desk.retry_failures("9f31c2", every_ms=-1)


async def test_a_kind_that_is_known_by_its_reason_alone_is_found_in_its_queue(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add(storage, new_job("a"), new_job("b"))
    for reason in ("timed out after 3 s", "refused"):
        await end(storage, await start_one(storage), Failed(reason=reason))
    failures = await admin.ground.monitor.failures(queue=QUEUE)
    [kind] = [row.group.fingerprint for row in failures.items if row.group.message.startswith("timed out")]
    assert kind.startswith("~")
    ended = await carried_out(admin, await desk.retry_failures(kind, QUEUE))
    assert ended.done == 1
    assert await states(storage, "a", "b") == [JobState.WAITING, JobState.FAILED]
    with pytest.raises(ConfigError, match="name the queue"):
        await desk.retry_failures(kind)


async def test_what_is_muted_is_listed_until_its_time_is_over(desk: Desk, clock: Clock) -> None:
    await desk.mute("failure", "9f31c2", T0 + MINUTE)
    await desk.mute("finding", "waiting/mail", T0 + 2 * MINUTE)
    entry = await last_entry(desk)
    assert (entry.action, entry.target, entry.after) == (
        "finding.mute", {"finding": "waiting/mail"}, {"until": T0 + 2 * MINUTE},
    )  # fmt: skip
    assert await desk.mutes("failure") == {"9f31c2": T0 + MINUTE}
    [mute] = await desk.muted("finding")
    assert (mute.id, mute.by, mute.reason, mute.at) == ("waiting/mail", "ana", "because", T0)
    clock.tick(MINUTE + 1)
    assert await desk.mutes("failure") == {}
    assert await desk.mutes("finding") == {"waiting/mail": T0 + 2 * MINUTE}


async def test_a_mute_is_taken_back(desk: Desk) -> None:
    long = "schedule-overdue/" + "q" * 120 + "/" + "k" * 120
    await desk.mute("finding", long, T0 + MINUTE)
    await desk.mute("finding", long, T0 + 2 * MINUTE)
    assert await desk.mutes("finding") == {long: T0 + 2 * MINUTE}
    await desk.unmute("finding", long)
    assert await desk.mutes("finding") == {}
    with pytest.raises(RecordNotFoundError):
        await desk.unmute("finding", long)
    assert (await last_entry(desk)).problem == "mute-not-found"


@pytest.mark.parametrize(
    ("kind", "id", "until"), [("noise", "a", MINUTE), ("failure", "", MINUTE), ("failure", "a", 0)]
)
async def test_a_mute_that_cannot_be_meant_is_refused(desk: Desk, kind: str, id: str, until: int) -> None:
    with pytest.raises(ConfigError):
        await desk.mute(kind, id, T0 + until)
    assert (await last_entry(desk)).problem == "invalid-parameter"
