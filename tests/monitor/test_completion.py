"""What the search box offers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from corral.monitor.completion import Completion, Vocabulary, completions

WORDS = Vocabulary(queues=("mail", "my queue", "metrics"), names=("welcome",), schedules=("nightly",))


def offered(text: str, at: int | None = None) -> list[str]:
    return [one.text for one in completions(text, len(text) if at is None else at, WORDS)]


def test_the_beginning_of_a_field_is_completed() -> None:
    assert offered("st") == ["started:", "state:"]
    assert completions("queue:mail sta", 14, WORDS)[1] == Completion("state:", "field", 11, 14)
    assert offered("-du") == ["duration:"]


def test_values_of_a_field_are_offered() -> None:
    assert offered("state:f") == ["failed"]
    assert offered("queue:m") == ["mail", '"my queue"', "metrics"]
    assert offered("schedule:") == ["nightly"]


def test_after_a_comma_the_next_value_is_completed() -> None:
    assert completions("state:failed,wai", 16, WORDS) == [
        Completion("waiting", "value", 13, 16),
        Completion("waiting-children", "value", 13, 16),
    ]


def test_in_the_middle_what_stands_before_counts() -> None:
    assert offered("state:co name:x", 8) == ["completed"]


def test_what_has_no_known_values_offers_none() -> None:
    assert offered("error:x") == []


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(-5, 50))
def test_any_text_at_any_place_has_an_answer(text: str, at: int) -> None:
    assert all(one.start <= one.end for one in completions(text, at, WORDS))
