"""Random histories: the adapter and the model must agree about every one of them."""

import pytest

from .bench import Bench
from .broken import BUGS, Broken
from .broken_groups import GROUP_BUGS
from .histories import explore, hunt
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
SOONEST = {}


@pytest.mark.timeout(0)  # CORRAL_MODEL_STEPS makes it run for as long as one likes
def test_adapter_and_model_agree_about_every_history(storage_url: str) -> None:
    with Bench(storage_url) as bench:
        assert not explore(Machine, bench, MUST_REACH, first=1)


@pytest.mark.parametrize("bug", [*BUGS, *GROUP_BUGS], ids=lambda bug: bug.__name__)
def test_a_store_with_a_bug_is_found_out(storage_url: str, bug: type[Broken]) -> None:
    with Bench(storage_url, bug.wrap) as bench, pytest.raises(AssertionError):
        hunt(Machine, bench, SOONEST.get(bug.__name__, 1))
