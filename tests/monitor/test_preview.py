"""Previews: the beginning of a payload, with secrets hidden even where the text breaks off."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.monitor.preview import preview
from corral.sensitive import HIDDEN

SECRET = "hunter2hunter2"


def shown(value: object, cut: int = 200, sensitive: tuple[str, ...] = ()) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return preview(text[:cut], len(text.encode()), sensitive)


def test_a_small_payload_is_shown_whole() -> None:
    assert shown({"to": "ada", "n": [1, 2.5, None, True]}) == '{"to":"ada","n":[1,2.5,null,true]}'


def test_secrets_are_hidden_by_their_names_and_by_declaration() -> None:
    assert shown({"password": SECRET, "x": 1}) == f'{{"password":"{HIDDEN}","x":1}}'
    assert shown({"user": {"ssn_like": 5}}, sensitive=("user.ssn_like",)) == f'{{"user":{{"ssn_like":"{HIDDEN}"}}}}'


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_secret_is_hidden_wherever_its_payload_breaks_off(cut: int) -> None:
    assert "hunt" not in shown({"a": [1, {"b": "c"}], "password": SECRET, "z": "…" * 99}, cut)


def test_a_cut_text_is_shown_as_far_as_it_goes() -> None:
    assert shown({"to": "ada", "text": "x" * 500}, 30) == '{"to":"ada","text":"xxxxxxxxxx…"…'
    assert shown(["a", "b" * 500], 10) == '["a","bbbb…"…'
    assert shown("x" * 500, 5) == '"xxxx…"…'


def test_a_half_number_or_key_is_left_out() -> None:
    assert shown({"a": 1, "b": 23456, "c": "x" * 300}, 12) == '{"a":1…'
    assert shown({"a": 1, "key": "x" * 300}, 10) == '{"a":1…'


def test_what_is_not_read_has_no_preview() -> None:
    assert preview("", 3_000_000) == ""


def test_what_is_no_json_is_not_shown() -> None:
    assert preview("hello there", 11) == HIDDEN


def test_a_sealed_payload_is_not_shown() -> None:
    assert "c2VjcmV0" not in shown({"corral:sealed": 1, "steps": ["aes:1"], "body": "c2VjcmV0" * 99}, 120)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-999, 999), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.integers(0, 200))
def test_any_document_cut_anywhere_has_a_short_preview(value: object, cut: int) -> None:
    assert len(shown(value, cut)) <= 200


@settings(deadline=None)
@given(st.lists(JSON, max_size=3), st.integers(0, 200))
def test_no_cut_lets_a_secret_out(values: list[object], cut: int) -> None:
    assert SECRET[:6] not in shown([*values, {"api_key": SECRET, "deep": [{"token": SECRET}]}], cut)
