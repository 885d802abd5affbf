"""Since when a job could have run: what `claim` says of it, for those who measure how long jobs wait."""

from corral.outcome import Released, Retried
from corral.storage.port import Storage
from corral.timing import Millis
from tests.storage.helpers import QUEUE, T0, Run, add, new_job, new_token, wish


async def ready(storage: Storage, now: Millis) -> tuple[Run, Millis | None]:
    """Claim one job; the run, and since when it could have run, when that is later than when it was added."""
    token = new_token()
    [job] = (await storage.claim(QUEUE, wish(token=token), now=now)).jobs
    return Run(job, token), job.run_at


async def test_a_job_that_could_run_at_once_has_no_time_of_its_own(storage: Storage) -> None:
    await add(storage, new_job("a"))
    assert (await ready(storage, T0 + 500))[1] is None


async def test_a_delayed_job_could_run_when_it_fell_due_however_late_it_was_claimed(storage: Storage) -> None:
    await add(storage, new_job("a", delay_ms=1_000))
    assert (await ready(storage, T0 + 1_700))[1] == T0 + 1_000


async def test_a_retried_job_could_run_when_its_back_off_was_over_and_a_released_one_when_it_came_back(
    storage: Storage,
) -> None:
    await add(storage, new_job("a"))
    run, _ = await ready(storage, T0)
    await storage.settle(QUEUE, [run.ends(Retried(2_000, "no line"))], now=T0 + 100)
    run, at = await ready(storage, T0 + 5_000)
    assert at == T0 + 2_100
    await storage.settle(QUEUE, [run.ends(Released())], now=T0 + 6_000)
    assert (await ready(storage, T0 + 7_000))[1] == T0 + 6_000
