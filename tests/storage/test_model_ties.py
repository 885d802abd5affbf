"""Random histories of jobs that know of each other: the adapter and the model must agree about every one of them."""

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .bench import Bench
from .broken import Broken
from .broken_ties import BUGS
from .machine_ties import MUST_REACH, TiedMachine
from .test_model import HUNT, ROUND, STEPS, TORTURE


def run(bench: Bench, profile: settings, seed_number: int | None) -> None:
    class Here(TiedMachine):
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
def test_adapter_and_model_agree_about_every_history_of_tied_jobs(storage_url: str) -> None:
    with Bench(storage_url) as bench:
        assert not explore(bench)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_store_with_a_bug_about_tied_jobs_is_found_out(storage_url: str, bug: type[Broken]) -> None:
    with Bench(storage_url, bug.wrap) as bench, pytest.raises(AssertionError):
        run(bench, HUNT, 1)
