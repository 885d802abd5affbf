"""What a worker tells of its process."""

import time

import pytest

from corral.worker import vitals
from corral.worker.vitals import Vitals


def test_load_is_the_share_of_a_core_since_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, worked = iter([100.0, 105.0, 110.0, 121.0]), iter([7.0, 9.5, 31.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "process_time", lambda: next(worked))
    monkeypatch.setattr(vitals, "memory", lambda: 5)
    seen = Vitals(10.0)
    assert seen.look(0.0021) == (5, 2, None)  # nothing to compare with
    assert seen.look(0.5) == (5, 2, None)  # too soon
    assert seen.look(0.5) == (5, 500, 0.25)
    assert seen.look(0.0) == (5, 0, 2.0)  # threads of two cores
