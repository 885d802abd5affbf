"""The parts that routes are made of: cursors, formats, times, ETags, bodies."""

import base64

import pytest
from fastapi import FastAPI
from msgspec import Raw
from starlette.requests import Request

from corral.errors import PayloadError
from corral.http.bodies import Part as BodyPart
from corral.http.bodies import complaints, text_of
from corral.http.etags import check_match, etag_of, matches, unchanged
from corral.http.models.base import LAST_MS, when
from corral.http.models.job_views import error_of, json_or_text
from corral.http.models.links import job_path
from corral.http.paging import Ask, cursor_of, cut, spot_of
from corral.http.problems import Problem
from corral.http.rendering import Form, cell, encoded, form_of
from corral.http.scope import base_of
from corral.http.spans import instant_of, span_of
from corral.http.waiting import preferred


def request(path: str = "/api/v1/jobs", root: str = "", **headers: str) -> Request:
    """A request with these headers."""
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": "GET", "path": path, "root_path": root, "query_string": b"", "headers": pairs}
    )


def asked(limit: int, cursor: str | None = None) -> Ask:
    """A list that is asked for."""
    return Ask(request(), limit, cursor, (), Form.JSON)


def test_pages_go_forth_and_back_without_gaps() -> None:
    rows = list(range(10))
    first = cut(rows, lambda row: (row,), asked(4), "numbers")
    second = cut(rows, lambda row: (row,), asked(4, first.next), "numbers")
    third = cut(rows, lambda row: (row,), asked(4, second.next), "numbers")
    assert [list(one.items) for one in (first, second, third)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert (first.prev, third.next) == (None, None)
    back = cut(rows, lambda row: (row,), asked(4, third.prev), "numbers")
    assert list(back.items) == [4, 5, 6, 7]


def test_what_comes_or_goes_before_a_cursor_hides_nothing() -> None:
    first = cut([10, 20, 30, 40], lambda row: (row,), asked(2), "numbers")
    more = cut([5, 10, 15, 30, 40], lambda row: (row,), asked(2, first.next), "numbers")
    assert list(more.items) == [30, 40]


@pytest.mark.parametrize(
    "cursor", ["", "x", "====", "é", "AAAA", base64.urlsafe_b64encode(b'["a",[1]]').decode(),
               base64.urlsafe_b64encode(b"[" * 500).decode(), cursor_of(("text",), "numbers")],
)  # fmt: skip
def test_a_cursor_that_was_made_up_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as told:
        cut([1, 2], lambda row: (row,), asked(1, cursor), "numbers")
    assert told.value.code == "invalid-cursor"


def test_a_cursor_belongs_to_its_filters() -> None:
    with pytest.raises(Problem):
        spot_of(cursor_of((1,), "jobs", "failed"), "jobs", "active")


@pytest.mark.parametrize(
    ("accept", "form"),
    [("", Form.JSON), ("*/*", Form.JSON), ("text/csv", Form.CSV), ("text/html, */*;q=0.1", Form.JSON),
     ("application/json;q=0.2, application/x-ndjson", Form.NDJSON), ("text/csv;q=nonsense, */*", Form.JSON)],
)  # fmt: skip
def test_the_accept_header_chooses_the_form(accept: str, form: Form) -> None:
    assert form_of(request(accept=accept)) is form


def test_forms_that_cannot_be_given_are_not_acceptable() -> None:
    for accept in ("image/png", "text/csv;q=0", "nonsense"):
        with pytest.raises(Problem) as told:
            form_of(request(accept=accept))
        assert told.value.status == 406


@pytest.mark.parametrize(
    ("value", "shown"),
    [("=1", "'=1"), ("+1", "'+1"), ("-x", "'-x"), ("@x", "'@x"), ("\tx", "'\tx"), ("\rx", "'\rx"), ("plain", "plain"),
     (-5, -5), (1.5, 1.5), (None, ""), (True, "true"), (["a"], '["a"]'), ([], ""), ({}, ""),
     (Raw(b"40"), "40"), (Raw(b"-40"), "-40"), (Raw(b'"=x"'), "'=x"), (Raw(b'{"a":1.10}'), '{"a":1.10}')],
)  # fmt: skip
def test_cells_are_no_formulas(value: object, shown: object) -> None:
    assert cell(value) == shown


def test_text_that_is_no_text_is_mended() -> None:
    assert encoded({"a": "x\ud800", "b": ["\ud800"]}) == b'{"a":"x?","b":["?"]}'


def test_times_are_rfc_3339_with_milliseconds() -> None:
    assert when(1_700_000_040_007) == "2023-11-14T22:14:00.007Z"
    assert (when(None), when(0), when(LAST_MS * 10)) == (None, "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")


def test_instants_are_times_numbers_or_ages() -> None:
    now = 1_700_000_000_000
    assert instant_of("2023-11-14T22:14:00Z", "from", now) == 1_700_000_040_000
    assert instant_of("2023-11-14T23:14:00 01:00", "from", now) == 1_700_000_040_000
    assert instant_of("1700000040000", "from", now) == 1_700_000_040_000
    assert (instant_of("2h", "from", now), instant_of(" ", "from", now)) == (now - 7_200_000, None)
    for bad in ("soon", "0001-01-01", "²"):
        if bad != "0001-01-01":
            with pytest.raises(Problem):
                instant_of(bad, "from", now)
    assert span_of("90m", "window") == 5_400
    for bad in ("soon", "0", "-1", "999999999d"):
        with pytest.raises(Problem):
            span_of(bad, "window")


def test_etags_are_compared_strongly_for_changes_and_weakly_for_reading() -> None:
    tag = etag_of("a", 1)
    assert matches(f'"x", {tag}', tag)
    assert not matches(f"W/{tag}", tag)
    assert unchanged(request(if_none_match=f"W/{tag}"), tag)
    check_match(request(if_match="*"), tag)
    for headers, status in (({}, 428), ({"if_match": '"x"'}, 412), ({"if_match": ""}, 412)):
        with pytest.raises(Problem) as told:
            check_match(request(**headers), tag)
        assert told.value.status == status


def test_preferences_to_wait_are_read_and_bounded() -> None:
    assert preferred(request(prefer="respond-async, wait=10")) == 10
    assert preferred(request(prefer='wait="100"')) == 60
    assert preferred(request(prefer="return=minimal")) == preferred(request()) == 0


def test_the_base_is_where_the_api_is_mounted() -> None:
    assert base_of(request("/api/v1/jobs")) == "/api/v1"
    assert base_of(request("/admin/queues/api/v1/queues/a/jobs")) == "/admin/queues/api/v1"
    assert base_of(request("/api/v1/jobs", root="/queues")) == "/queues/api/v1"


def test_addresses_escape_every_character_that_means_something() -> None:
    assert job_path("a/b", "..", "/api/v1") == "/api/v1/queues/a%2Fb/jobs/%25.."


def test_complaints_point_to_the_field() -> None:
    error = PayloadError("payload is refused", ["items.0.price: too small", "a/b: no", "it is odd"])
    assert [one["pointer"] for one in complaints(error)] == ["/data/items/0/price", "/data/a~1b", "/data"]


def test_payloads_are_packed_without_touching_numbers() -> None:
    assert text_of(BodyPart(data=Raw(b'{ "a" : 1.10,\n "b" : 1e2 }'))) == '{"a":1.10,"b":1e2}'
    with pytest.raises(Problem) as told:
        text_of(BodyPart(data=Raw(b'"' + b"x" * 100 + b'"')), limit=50)
    assert told.value.code == "payload-too-large"
    with pytest.raises(Problem) as told:
        text_of(BodyPart(data=Raw(b"[" * 70 + b"]" * 70)))
    assert told.value.code == "validation-failed"


def test_what_failed_is_taken_apart_as_far_as_it_says() -> None:
    found = error_of("corral.errors.JobTimeoutError: timed out after 5 s")
    assert found is not None
    assert (found.type, found.message) == ("corral.errors.JobTimeoutError", "timed out after 5 s")
    plain = error_of("no reason at all")
    assert plain is not None
    assert (plain.type, plain.message) == (None, "no reason at all")
    assert bytes(json_or_text('{"cut": "of')) == b'"{\\"cut\\": \\"of"'


def test_the_application_is_put_together_from_every_router(app: FastAPI) -> None:
    assert len(app.openapi()["paths"]) > 80
