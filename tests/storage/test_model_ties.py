"""Random histories of jobs that know of each other: the adapter and the model must agree about every one of them."""

import pytest

from .bench import Bench
from .broken import Broken
from .broken_ties import BUGS
from .histories import STEPS, explore, hunt
from .machine_ties import MUST_REACH, TiedMachine

#: Which round finds a bug soonest. Any other would, a little later.
SOONEST = {
    "NeverReplaces": 2, "ForgetsWhatItKept": 4, "NeverExtends": 8, "NeverReschedules": 13, "TakesFailuresLightly": 5,
    "DelaysFromTheAdd": 12, "HasOneNumberOfCrashesForAll": 6, "NeverReattaches": 2, "RetriesAllAtOnce": 11,
}  # fmt: skip


@pytest.mark.timeout(0 if STEPS else 300)
def test_adapter_and_model_agree_about_every_history_of_tied_jobs(storage_url: str) -> None:
    with Bench(storage_url) as bench:
        assert not explore(TiedMachine, bench, MUST_REACH, first=1)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_store_with_a_bug_about_tied_jobs_is_found_out(storage_url: str, bug: type[Broken]) -> None:
    with Bench(storage_url, bug.wrap) as bench, pytest.raises(AssertionError):
        hunt(TiedMachine, bench, SOONEST.get(bug.__name__, 1))
