"""Whatever Slack says, what is read of it can be kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from corral.handlers.slack import reading
from corral.handlers.slack.tables import channels, messages, users

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    "id name profile real_name email title tz is_bot deleted topic value num_members is_member ts user text thread_ts "
    "reply_count reactions count edited subtype bot_id".split()
)
RECORD = st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=4), max_size=12)
SLOW_MACHINES = settings(deadline=None, max_examples=200)


def fits(record: object, table: object) -> bool:
    """Whether every text is one that a database can hold, no longer than its column."""
    columns = table.c  # type: ignore[attr-defined]
    for name in record.__struct_fields__:  # type: ignore[attr-defined]
        value = getattr(record, name)
        length = getattr(columns[name].type, "length", None)
        if isinstance(value, str) and ("\0" in value or len(value) > (length or 50_000) or not value.encode()):
            return value == ""
        if isinstance(value, int) and not isinstance(value, bool) and name != "sent_at" and not 0 <= value < 2**31:
            return False
    return True


@SLOW_MACHINES
@given(RECORD)
def test_any_record_becomes_something_that_can_be_kept_or_nothing(record: dict[str, object]) -> None:
    for made, table in (
        (reading.user(record), users),
        (reading.channel(record), channels),
        (reading.message("C1", record, text=True), messages),
    ):
        assert made is None or fits(made, table)


@SLOW_MACHINES
@given(st.dictionaries(st.sampled_from(["members", "response_metadata", "ok"]), JSON, max_size=3))
def test_any_answer_has_records_and_a_next_page_or_none(answer: dict[str, object]) -> None:
    assert all(isinstance(one, dict) for one in reading.items(answer, "members"))
    assert isinstance(reading.next_cursor(answer), str)


def test_half_a_surrogate_pair_and_a_zero_byte_are_left_out() -> None:
    made = reading.message("C1", {"ts": "1700000000.000100", "text": "a\ud800b\0c"}, text=True)
    assert made is not None
    assert (made.text, made.sent_at) == ("a?bc", 1_700_000_000_000)
