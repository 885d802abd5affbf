"""The search language: what is read, what is refused and where, and that it can be written again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import QueryError
from corral.monitor.grammar import FIELDS, HAS, MAX_TERMS, STATES, Kind, Range, Term, Text, parse, written
from corral.timing import Millis

NOW: Millis = 1_763_600_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
NOV_20 = 1_763_596_800_000


def only(text: str) -> Term:
    [term] = parse(text, now=NOW).terms
    return term


def said(text: str) -> object:
    [test] = only(text).tests
    return test


def test_nothing_is_a_search_for_everything() -> None:
    assert parse("  ", now=NOW).terms == ()


def test_a_space_is_and() -> None:
    assert [term.field for term in parse("state:failed queue:mail error:~timeout", now=NOW).terms] == [
        "state",
        "queue",
        "error",
    ]


def test_a_comma_is_or_within_a_field() -> None:
    assert only("state:failed,delayed").tests == (Text("failed"), Text("delayed"))


def test_a_minus_is_not() -> None:
    assert only("-state:completed").negated
    assert only("-word").negated
    assert not only("state:completed").negated


def test_text_in_quotes_may_have_anything_in_it() -> None:
    assert said(r'name:"a b, c: \"d\" \\ e"') == Text(r'a b, c: "d" \ e')
    assert said('"two words"') == Text("two words", "part")


def test_a_tilde_asks_for_a_part_and_a_star_for_a_beginning() -> None:
    assert said("error:~timeout") == Text("timeout", "part")
    assert said("name:wel*") == Text("wel", "starts")
    assert said('name:"wel*"') == Text("wel*")


def test_a_trace_is_known_by_its_beginning() -> None:
    assert said("trace:4BF92f35") == said("trace:4bf92f35*") == said('trace:"4bf92F35"') == Text("4bf92f35", "starts")
    assert (said("trace:~92f"), said("trace_id:x")) == (Text("92f", "part"), Text("x", "starts"))


def test_a_flow_is_named_by_its_job_alone_or_with_its_queue() -> None:
    assert (said("flow:42"), said('flow:"mail/a*"')) == (Text("42"), Text("mail/a*"))


def test_a_bare_word_is_an_id_or_a_part_of_something() -> None:
    assert only("12345") == Term("", (Text("12345", "part"),), False, (), 0, 5)


def test_a_value_may_have_colons() -> None:
    assert said("id:repeat:x:17") == Text("repeat:x:17")


def test_bullmq_s_words_are_known() -> None:
    assert (only("processed:<1h").field, only("reason:x").field) == ("started", "error")


def test_paths_lead_into_payload_and_result() -> None:
    term = only("data.user.id:42")
    assert (term.field, term.path, term.tests) == ("data", ("user", "id"), (Text("42"),))
    assert said("data.n:>=5") == Range(5, None)
    assert said("data.n:5..9") == Range(5, 9)
    assert said("result.ok:true") == Text("true")
    assert said("data.version:1..x") == Text("1..x")


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("attempts:3", Range(3, 3)),
        ("attempts:>3", Range(3, None, above=True)),
        ("attempts:>=3", Range(3, None)),
        ("attempts:<3", Range(None, 3, below=True)),
        ("attempts:<=3", Range(None, 3)),
        ("attempts:2..5", Range(2, 5)),
        ("attempts:2..", Range(2, None)),
        ("priority:-1.5e3", Range(-1500, -1500)),
        ("size:>2kb", Range(2000, None, above=True)),
        ("size:1MiB", Range(1 << 20, 1 << 20)),
        ("wait:>5m", Range(300_000, None, above=True)),
        ("duration:250ms..1.5s", Range(250, 1500)),
        ("wait:1h30m", Range(1.5 * HOUR, 1.5 * HOUR)),
        ("wait:>30", Range(30_000, None, above=True)),
    ],
)
def test_numbers_and_lengths_of_time_become_ranges(text: str, test: Range) -> None:
    assert said(text) == test


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("created:<2h", Range(NOW - 2 * HOUR, None, above=True)),
        ("created:2h", Range(NOW - 2 * HOUR, None)),
        ("created:>1d", Range(None, NOW - DAY, below=True)),
        ("created:1h..2h", Range(NOW - 2 * HOUR, NOW - HOUR)),
        ("created:1h..", Range(None, NOW - HOUR)),
        ("finished:2025-11-20", Range(NOV_20, NOV_20 + DAY - 1)),
        ("finished:2025-11-20..2025-11-21", Range(NOV_20, NOV_20 + 2 * DAY - 1)),
        ("finished:>2025-11-20", Range(NOV_20 + DAY - 1, None, above=True)),
        ("finished:<2025-11-20", Range(None, NOV_20, below=True)),
        ("finished:2025-11", Range(NOV_20 - 19 * DAY, NOV_20 + 11 * DAY - 1)),
        ("finished:>=2025-11-20T01Z", Range(NOV_20 + HOUR, None)),
        ("finished:2025-11-20T01:00", Range(NOV_20 + HOUR, NOV_20 + HOUR + 59_999)),
        ("finished:2025-11-20T01:00:00+01:00", Range(NOV_20, NOV_20 + 999)),
        ("finished:<=2025-11-20T00:00:00.5Z", Range(None, NOV_20 + 500)),
        ("finished:>1763596800000", Range(NOV_20, None, above=True)),
    ],
)
def test_ages_and_dates_become_instants(text: str, test: Range) -> None:
    assert said(text) == test


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("state:failed colour:red", 13, "no field 'colour'"),
        ("naem:x", 0, "did you mean 'name'"),
        ("http://x", 0, '"quotes"'),
        ("state:failde", 6, "state is one of"),
        ("state:~fail", 7, "state is one of"),
        ("name:", 5, "a value is missing"),
        ("name:a,", 7, "a value is missing"),
        ("name: a", 5, "a value is missing"),
        ('name:"a', 5, "not closed"),
        ('name:"a"b', 8, "a space is missing"),
        ("name:>5", 6, "neither more nor less"),
        ("attempts:many", 9, "is no number"),
        ("attempts:~3", 10, "has no parts"),
        ("attempts:>1..3", 10, "a range has no sign"),
        ("attempts:1e999", 9, "is no number"),
        ("wait:soon", 5, "is no length of time"),
        ("created:yesterday", 8, "is no time"),
        ("created:2025-13-01", 8, "not in the calendar"),
        ("created:..", 8, "a range needs an end"),
        ("data:5", 0, "data needs a path"),
        ("data.:5", 0, "data needs a path"),
        ("- x", 1, "a value is missing"),
        ("is:lost", 3, "is is one of finished, late"),
        ("flow:~x", 6, "flow names a job"),
        ("flow:x*", 5, "flow names a job"),
        ("trace:>5", 7, "neither more nor less"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(text: str, position: int, message: str) -> None:
    with pytest.raises(QueryError) as told:
        parse(text, now=NOW)
    assert (told.value.position, message in str(told.value)) == (position, True)


def test_a_misspelled_field_comes_with_the_one_that_was_meant() -> None:
    with pytest.raises(QueryError) as told:
        parse("sttae:failed", now=NOW)
    assert told.value.suggestion == "state"


def test_a_search_is_bounded() -> None:
    with pytest.raises(QueryError, match="2,000 characters"):
        parse("x" * 2_001, now=NOW)
    with pytest.raises(QueryError, match=f"{MAX_TERMS} conditions"):
        parse("x " * (MAX_TERMS + 1), now=NOW)


def test_a_range_knows_which_ends_are_in() -> None:
    assert [Range(1, 3).has(one) for one in (0.9, 1, 3, 3.1, None)] == [False, True, True, False, False]
    assert [Range(1, 3, above=True, below=True).has(one) for one in (1, 2, 3)] == [False, True, False]


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    try:
        places = [(term.start, term.end) for term in parse(text, now=NOW).terms]
    except QueryError as error:
        places = [(error.position, error.position)]
    assert all(0 <= start <= end <= len(text) for start, end in places)


WORDS = st.text(min_size=1, max_size=12)
NUMBERS = st.one_of(st.integers(0, 10**15), st.floats(0, 1e9).map(lambda one: round(one, 3)))
RANGES = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda two: Range(*two)),
    NUMBERS.map(lambda one: Range(one, None)),
    NUMBERS.map(lambda one: Range(None, one)),
    NUMBERS.map(lambda one: Range(one, None, above=True)),
    NUMBERS.map(lambda one: Range(None, one, below=True)),
)
TEXTS = st.one_of(WORDS.map(Text), WORDS.map(lambda one: Text(one, "part")))
TRACES = st.one_of(WORDS.map(lambda one: Text(one.lower(), "starts")), WORDS.map(lambda one: Text(one, "part")))


def some_tests(field: str) -> st.SearchStrategy[tuple[Text | Range, ...]]:
    kind = FIELDS[field]
    one: st.SearchStrategy[Text | Range] = RANGES
    if kind is Kind.TEXT:
        one = {"flow": WORDS.map(Text), "trace": TRACES}.get(field, TEXTS)
    if kind is Kind.WORD:
        one = st.sampled_from({"state": STATES, "has": HAS}.get(field, ("late",))).map(Text)
    return st.lists(one, min_size=1, max_size=3).map(tuple)


FIELD_TERMS = st.sampled_from(sorted(set(FIELDS) - {"created", "started", "finished", "run_at"})).flatmap(
    lambda field: st.builds(Term, st.just(field), some_tests(field), st.booleans())
)
WORD_TERMS = st.builds(Term, st.just(""), st.tuples(WORDS.map(lambda one: Text(one, "part"))), st.booleans())
PATHS = st.lists(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), min_size=1, max_size=3).map(tuple)
PATH_TERMS = st.builds(Term, st.sampled_from(("data", "result")), st.tuples(TEXTS), st.booleans(), PATHS)


@settings(deadline=None)
@given(st.lists(st.one_of(FIELD_TERMS, WORD_TERMS, PATH_TERMS), max_size=5))
def test_what_is_written_is_read_as_it_was_meant(terms: list[Term]) -> None:
    read = parse(written(terms), now=NOW).terms
    assert [(one.field, one.tests, one.negated, one.path) for one in read] == [
        (one.field, one.tests, one.negated, one.path) for one in terms
    ]
