"""Every line of the four platforms' checklist has a test, on both engines where it is about a store."""

import pytest

from .lines import LINES, PLATFORMS
from .table import PAGE, Shown, collect, lacks, marked_files, open_lines, write

#: Pytest collects a third of the suite in a process of its own: seconds here, more on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shown() -> dict[str, Shown]:
    return collect(marked_files())


def test_no_line_is_without_a_test(shown: dict[str, Shown]) -> None:
    assert open_lines(shown) == {}


def test_the_page_is_up_to_date(shown: dict[str, Shown]) -> None:
    assert PAGE.read_text(encoding="utf-8") == write(shown), "run python -m tests.mission"


def test_the_lines_are_numbered_without_a_gap() -> None:
    numbers = [[int(line.id.rsplit("-", 1)[1]) for line in platform.lines] for platform in PLATFORMS]
    assert numbers == [list(range(1, len(platform.lines) + 1)) for platform in PLATFORMS]
    assert [len(platform.lines) for platform in PLATFORMS] == [65, 88, 55, 72]


def test_a_line_needs_a_test_and_both_engines_where_a_store_matters() -> None:
    by_id = {line.id: line for line in LINES}
    stored, plain = by_id["M-TS-20"], by_id["M-TS-09"]
    assert lacks(plain, Shown()) == ["a test"]
    assert lacks(plain, Shown({"t"})) == []
    assert lacks(stored, Shown({"t"})) == ["sqlite", "redis"]
    assert lacks(stored, Shown({"t"}, {"sqlite"})) == ["redis"]
    assert lacks(stored, Shown({"t"}, {"sqlite", "redis"})) == []
