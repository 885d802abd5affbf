"""Counts in sentences."""

from corral.plurals import plural


def test_one_has_no_s_and_every_other_count_has() -> None:
    assert [plural(count, "job") for count in (0, 1, 2, 1_204)] == ["0 jobs", "1 job", "2 jobs", "1,204 jobs"]


def test_the_verb_agrees() -> None:
    said = [plural(count, "person waits", "people wait") for count in (1, 3)]
    assert said == ["1 person waits", "3 people wait"]
