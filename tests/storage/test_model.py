"""Random histories: the adapter and the model must agree about every one of them."""

import pytest

from .bench import Bench
from .broken import BUGS, Broken
from .broken_groups import GROUP_BUGS
from .histories import STEPS, explore, hunt
from .machine import Machine

#: Every way a job can go, and every answer that is not "yes": histories that miss one of them prove nothing about it.
MUST_REACH = frozenset(
    {
        "nothing -> waiting", "nothing -> delayed",
        "waiting -> active", "waiting -> failed", "waiting -> nothing",
        "delayed -> waiting", "delayed -> active", "delayed -> failed", "delayed -> nothing",
        "active -> waiting", "active -> delayed", "active -> completed", "active -> failed", "active -> nothing",
        "completed -> waiting", "completed -> nothing", "failed -> waiting", "failed -> nothing",
        "added", "duplicated", "active", "progress", "completed", "retrying", "failed", "expired", "cancelled",
        "stalled", "snoozed", "limited", "released", "removed", "drained", "idle", "paused", "resumed",
        "lease-lost", "job-missing", "lost", "requeued", "quarantined", "held", "paused claim", "told to stop",
        "update refused", "group full",
    }
)  # fmt: skip

#: Which round finds a bug soonest. Any other would, a little later.
SOONEST = {
    "SettlesWithoutLookingAtTheToken": 10, "ForgetsToPromote": 3, "PutsReleasedJobsAtTheEnd": 21,
    "OverwritesDuplicates": 2, "LetsOneTooManyStart": 3, "ForgivesOneCrash": 11, "RunsExpiredJobs": 2,
    "KeepsWhatIsNotToBeKept": 3, "CountsARetryAsASnooze": 13, "NeverTellsOfCancelling": 18, "RenewsNothing": 3,
    "KeepsTheSlotsOfDeadWorkers": 2, "AlwaysBeginsWithTheFirstGroup": 5, "GivesGroupsOneStartTooMany": 15,
    "RunsOneJobTooManyOfAGroup": 8, "LooksAtTheFirstWindowOnly": 7, "ForgetsTheLimitsOfNames": 4,
    "ProbesWithEverything": 5, "HoldsTheQueueInPlaceOfTheGroup": 3, "HoldsForAMomentLess": 3,
    "PutsLimitedJobsAtTheEnd": 4,
}  # fmt: skip


@pytest.mark.timeout(0 if STEPS else 300)
def test_adapter_and_model_agree_about_every_history(storage_url: str) -> None:
    with Bench(storage_url) as bench:
        assert not explore(Machine, bench, MUST_REACH, first=1)


@pytest.mark.parametrize("bug", [*BUGS, *GROUP_BUGS], ids=lambda bug: bug.__name__)
def test_a_store_with_a_bug_is_found_out(storage_url: str, bug: type[Broken]) -> None:
    with Bench(storage_url, bug.wrap) as bench, pytest.raises(AssertionError):
        hunt(Machine, bench, SOONEST.get(bug.__name__, 1))
