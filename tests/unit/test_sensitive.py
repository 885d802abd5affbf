"""Sensitive fields: what is marked, and what its name says is a secret, is never shown."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from corral import Cron, Job, JobState, NewJob, RegistrationError, Sensitive, redact
from corral.options import JobOptions
from corral.payload import PayloadType
from corral.schedule import Schedule
from corral.sensitive import HIDDEN, sensitive_fields, shown, shown_text


class Card(BaseModel):
    number: Annotated[str, Sensitive]
    holder: str = ""


class Order(BaseModel):
    card: Card
    others: list[Card] = []
    by_name: dict[str, Card] = {}
    note: Annotated[str | None, Sensitive, Field(max_length=10)] = None
    code: Annotated[str, Sensitive] = Field(default="", alias="orderCode")


@dataclass
class Plain:
    account: Annotated[str, Sensitive]
    amount: int = 0


class Typed(TypedDict):
    account: Annotated[str, Sensitive()]


class Stored(msgspec.Struct, rename="camel"):
    bank_account: Annotated[str, Sensitive]
    child: "Stored | None" = None


@pytest.mark.parametrize(
    ("annotation", "fields"),
    [
        (Order, ("card.number", "others.number", "by_name.*.number", "note", "orderCode")),
        (Card | None, ("number",)),
        (list[Plain], ("account",)),
        (Typed, ("account",)),
        (Stored, ("bankAccount",)),
        (dict[str, Annotated[str, Sensitive]], ("*",)),
        (Annotated[str, Sensitive], ("",)),
        (dict[str, Any], ()),
        (Any, ()),
        (None, ()),
        (int, ()),
    ],
)
def test_the_marks_of_a_type_are_found(annotation: object, fields: tuple[str, ...]) -> None:
    assert sensitive_fields(annotation) == fields
    assert PayloadType(annotation).sensitive == fields


def test_marks_that_cannot_be_read_are_an_error_and_not_forgotten() -> None:
    class Local(TypedDict):
        secret: "Annotated[Unknown, Sensitive]"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(RegistrationError, match="sensitive fields of Local"):
        sensitive_fields(Local)


def test_marked_fields_are_hidden_wherever_they_are() -> None:
    items = [{"price": 3, "name": "a"}, {"price": None}]
    data = {"card": {"number": 1, "holder": "Ann"}, "items": items, "x": {"y": 1}}
    assert shown(data, ["card.number", "items.price", "x.*"]) == {
        "card": {"number": HIDDEN, "holder": "Ann"},
        "items": [{"price": HIDDEN, "name": "a"}, {"price": HIDDEN}],
        "x": {"y": HIDDEN},
    }
    assert shown({"a": {"b": 1}, "b": 2}, ["a"]) == {"a": HIDDEN, "b": 2}
    assert shown("everything", [""]) == HIDDEN


@pytest.mark.parametrize(
    "name",
    "password Password userPassword db_passwd PASSPHRASE secret clientSecret token accessToken refresh_token x-api-key "
    "apiKey API_KEY authorization Authorization cookie Set-Cookie credentials private_key otp creditCard card_number "
    "cardNumber cvv CVC pin ssn iban accountNumber bearer".split(),
)
def test_a_name_that_says_it_is_a_secret_is_enough(name: str) -> None:
    assert shown({name: "value"}) == {name: HIDDEN}
    assert shown([{"deep": {name: {"any": "thing"}}}]) == [{"deep": {name: HIDDEN}}]
    assert shown({name: "value"}, by_name=False) == {name: "value"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxTokens", 4096), ("tokens", 812), ("has_password", True), ("secret", None), ("tokenizer", "bpe"),
        ("opinion", "good"), ("company", "x"), ("author", "Ann"), ("secretary", "Bob"), ("cardinal", 3), ("spin", 1),
        ("keyboard", "de"), ("expired-tokens-job", 3),
    ],
)  # fmt: skip
def test_what_only_sounds_like_one_is_shown(name: str, value: object) -> None:
    assert shown({name: value}) == {name: value}


@pytest.mark.parametrize(("name", "value"), [("pin", 1234), ("card_number", 4111111111111111), ("cvv", 123)])
def test_secrets_that_are_numbers_are_hidden_too(name: str, value: int) -> None:
    assert shown({name: value}) == {name: HIDDEN}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_a_canary_under_a_marked_field_never_comes_through(value: object) -> None:
    made = shown({"outer": [{"mine": [value, "canary-7f3a"]}], "rest": value}, ["outer.mine"])
    assert "canary-7f3a" not in repr(made)
    assert shown(value, by_name=False) == value


def test_text_that_is_no_json_is_hidden_and_too_deep_a_payload_is_cut() -> None:
    assert shown_text("canary", []) == f'"{HIDDEN}"'
    deep = "[" * 80 + '"canary"' + "]" * 80
    assert "canary" not in shown_text(deep)


def test_text_without_secrets_is_shown_as_it_is_stored() -> None:
    assert shown_text('{"a": 1.50 ,"b":[]}') == '{"a": 1.50 ,"b":[]}'


def test_of_an_envelope_only_its_steps_are_shown() -> None:
    assert shown_text('{"corral:sealed":1,"steps":["A256GCM:k"],"body":"AAAA"}') == (
        f'{{"corral:sealed":1,"steps":["A256GCM:k"],"body":"{HIDDEN}"}}'
    )
    assert shown({"corral:unreadable": "its key is gone", "sealed": "AAAA"}) == {"corral:unreadable": "its key is gone"}


OPTIONS = JobOptions(sensitive=("iban",))
CANARIES = '{"iban":"canary","password":"canary"}'


def test_a_job_shows_nothing_of_it_in_its_repr() -> None:
    new = NewJob(queue="q", name="n", data=CANARIES, options=OPTIONS)
    job = Job(
        id="1", queue="q", name="n", state=JobState.FAILED, data=CANARIES, result=CANARIES, progress=CANARIES,
        options=OPTIONS,
    )  # fmt: skip
    schedule = Schedule(key="k", queue="q", name="n", timing=Cron("0 1 * * *"), data=CANARIES, options=OPTIONS)
    for one in (new, job, schedule, redact(job)):
        assert "canary" not in repr(one)
    assert "canary" not in redact(job).data + str(redact(job).result) + str(redact(job).progress)
    assert "id='1'" in repr(job)
    assert redact(job).id == "1"
    assert "canary" in redact(job, by_name=False).data


def test_what_a_queue_hides_and_what_a_job_hides_are_both_hidden() -> None:
    assert JobOptions(sensitive=("a",)).over(JobOptions(sensitive=("b", "a"))).sensitive == ("b", "a")
    assert JobOptions(attempts=2).over(JobOptions(sensitive=("b",))).sensitive == ("b",)
    assert JobOptions(sensitive=("a",)).over(JobOptions(attempts=3)) == JobOptions(sensitive=("a",), attempts=3)
