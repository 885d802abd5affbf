"""Random histories: the adapter and the model must agree about every one of them."""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .bench import Bench
from .broken import BUGS, Broken
from .broken_groups import GROUP_BUGS
from .machine import Machine

#: So many steps of histories that no run tried before. Without it a few hundred, the same ones each time.
STEPS = int(os.environ.get("CORRAL_MODEL_STEPS", "0"))
LENGTH = 50
BASE = settings(
    stateful_step_count=LENGTH,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[Phase.generate],  # to make a failing history small takes minutes: it is printed as it was found
)
ROUND = settings(BASE, max_examples=20)
TORTURE = settings(BASE, max_examples=max(1, STEPS // LENGTH))
HUNT = settings(BASE, max_examples=1_000)

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


def run(bench: Bench, profile: settings, seed_number: int | None) -> None:
    class Here(Machine):
        pass

    Here.bench = bench
    run_state_machine_as_test(Here if seed_number is None else seed(seed_number)(Here), settings=profile)


def explore(bench: Bench) -> frozenset[str]:
    """Rounds of histories, at least two, until they have been everywhere; answers where they were not."""
    if STEPS:
        run(bench, TORTURE, None)
    for number in range(1, 1 if STEPS else 10):
        run(bench, ROUND, number)
        if number > 1 and bench.reached.keys() >= MUST_REACH:
            break
    return MUST_REACH - bench.reached.keys()


@pytest.mark.timeout(0)  # making a failing history small may take minutes, and is worth it
def test_adapter_and_model_agree_about_every_history(storage_url: str) -> None:
    with Bench(storage_url) as bench:
        assert not explore(bench)


@pytest.mark.parametrize("bug", [*BUGS, *GROUP_BUGS], ids=lambda bug: bug.__name__)
def test_a_store_with_a_bug_is_found_out(storage_url: str, bug: type[Broken]) -> None:
    with Bench(storage_url, bug.wrap) as bench, pytest.raises(AssertionError):
        run(bench, HUNT, 1)
