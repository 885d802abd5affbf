"""How histories are made: rounds of them, each of a number that always gives the same ones."""

import os
from collections.abc import Iterator
from random import SystemRandom

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from .bench import Bench
from .dice import BACKEND, Dice
from .machine import Machine

#: So many steps of histories that no run tried before. Without it a few thousand, the same ones each time.
STEPS = int(os.environ.get("CORRAL_MODEL_STEPS", "0"))
EXAMPLES, LENGTH = 20, 50
ROUND = settings(
    max_examples=EXAMPLES,
    stateful_step_count=LENGTH,
    phases=[Phase.generate],  # to make a failing history small takes minutes: it is printed as it was found
    backend=BACKEND,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def play(machine: type[Machine], bench: Bench, number: int) -> None:
    """One round of histories. Raises: AssertionError, and tells the round and the history, where the two differ."""

    class Here(machine):  # type: ignore[misc, valid-type]  # a base that is an argument
        pass

    Here.bench = bench
    Dice.seed = number
    try:
        run_state_machine_as_test(Here, settings=ROUND)
    except AssertionError as error:
        error.add_note(f"in round {number} of {machine.__name__}")
        raise


def _new_ones(bench: Bench) -> Iterator[int]:
    """Numbers that nobody used, until there have been steps enough."""
    while bench.steps < STEPS:
        yield SystemRandom().randrange(1_000, 2**63)


def explore(machine: type[Machine], bench: Bench, must_reach: frozenset[str], first: int) -> frozenset[str]:
    """Rounds of histories, at least two, until they have been everywhere; answers where they were not."""
    for done, number in enumerate(_new_ones(bench) if STEPS else range(first, first + 10)):
        play(machine, bench, number)
        if not STEPS and done and bench.reached.keys() >= must_reach:
            break
    return must_reach - bench.reached.keys()


def hunt(machine: type[Machine], bench: Bench, first: int) -> None:
    """Rounds of histories, beginning with one that is known to find what is to be found; fifty at most."""
    for number in range(first, first + 50):
        play(machine, bench, number)
