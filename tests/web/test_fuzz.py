"""A few hundred requests that nobody would think of, by every role; `python -m tests.web.fuzz` asks 20,000."""

from pathlib import Path

import pytest

from .fuzz import Tally, run


@pytest.mark.timeout(600)  # 600 requests; on a loaded machine 60 s
def test_no_request_breaks_the_api_passes_without_a_right_or_learns_of_the_inside(tmp_path: Path) -> None:
    tally = Tally()
    run(f"sqlite:///{tmp_path / 'corral.db'}", 1, tally)
    assert tally.wrong == []
    assert tally.asked > 500
