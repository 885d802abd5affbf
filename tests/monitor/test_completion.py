"""What the search box offers."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from corral.job import JobState
from corral.monitor.completion import REMEMBERED, Completion, Heard, Vocabulary, completions
from corral.monitor.objects import JobRow

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


def row(n: int, queue: str = "mail", **fields: object) -> JobRow:
    made = JobRow(id=str(n), queue=queue, name=f"n{n}", state=JobState.WAITING, created_at=0)
    return replace(made, **fields)


def test_words_of_jobs_that_were_shown_are_offered() -> None:
    heard = Heard()
    heard.note([row(1, tags=("b", "a"), group="g"), row(2, "sync", tags=("c",), schedule="nightly")])
    assert (heard.of("tag", {"mail"}), heard.of("tag", {"mail", "sync"})) == (("a", "b"), ("a", "b", "c"))
    assert (heard.of("group", ["mail"]), heard.of("schedule", ["mail", "sync"])) == (("g",), ("nightly",))
    assert heard.of("name", ["sync"]) == ("n2",)


def test_the_latest_words_are_remembered() -> None:
    heard = Heard()
    heard.note(row(n) for n in range(REMEMBERED))
    heard.note([row(0), *(row(n) for n in range(REMEMBERED, REMEMBERED + 10))])
    names = heard.of("name", ["mail"])
    assert (len(names), "n0" in names, "n1" in names, "n11" in names) == (REMEMBERED, True, False, True)


def test_known_tags_are_completed() -> None:
    words = Vocabulary(tags=("tenant 7", "tenant-42"), groups=("acme",))
    assert [one.text for one in completions("tag:ten", 7, words)] == ['"tenant 7"', "tenant-42"]
    assert [one.text for one in completions("group:", 6, words)] == ["acme"]
    assert [one.text for one in completions("is:st", 5, words)] == ["stalled", "stuck"]
