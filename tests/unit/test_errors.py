"""The tree of errors: what is drawn is what is there."""

import copy
import inspect
import pickle
import re

import pytest

from corral import errors
from corral.errors import (
    ConfigError,
    CorralError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    JobTimeoutError,
    LeaseLostError,
    PayloadError,
    QueueNotFoundError,
    ResultError,
    ScheduleNotFoundError,
    StorageUnavailableError,
    UnknownJobError,
    UnknownOptionError,
    WorkerCrashedError,
    closest,
)

CLASSES = {
    name: thing for name, thing in vars(errors).items() if inspect.isclass(thing) and issubclass(thing, BaseException)
}

#: One of each that carries facts, and the facts.
EXAMPLES: list[tuple[CorralError, dict[str, object]]] = [
    (ConfigError("no", key="url"), {"key": "url"}),
    (UnknownOptionError("dely", ["delay"]), {"key": "dely", "suggestion": "delay"}),
    (StorageUnavailableError("gone"), {}),
    (JobNotFoundError("mail", "7"), {"queue": "mail", "job_id": "7"}),
    (JobStateError("mail", "7", state="active", wanted="failed"), {"state": "active", "wanted": "failed"}),
    (JobFailedError("mail", "7", "boom"), {"reason": "boom", "queue": "mail", "job_id": "7"}),
    (LeaseLostError("mail", "7"), {"queue": "mail", "job_id": "7"}),
    (QueueNotFoundError("mial", ["mail"]), {"name": "mial", "suggestion": "mail"}),
    (ScheduleNotFoundError("nightly", []), {"key": "nightly", "suggestion": None}),
    (PayloadError("bad data", ["a: missing", "b: missing"]), {"errors": ("a: missing", "b: missing")}),
    (ResultError("not JSON"), {}),
    (UnknownJobError("mail", "welcom", ["welcome"]), {"queue": "mail", "name": "welcom", "suggestion": "welcome"}),
    (JobTimeoutError(2.5), {"seconds": 2.5}),
    (JobCancelledError("by Ada"), {"reason": "by Ada"}),
    (WorkerCrashedError("killed by signal 9"), {}),
]


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree of the module's docstring: name -> (parent, built-in)."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)(\w+Error)\b(?:\s+\(\+ (\w+)\))?", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            tree[found[2]] = (path[depth - 1] if depth else None, found[3])
    return tree


def test_the_drawn_tree_has_every_class_and_no_other() -> None:
    assert set(drawn()) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_derives_from_what_is_drawn(name: str) -> None:
    parent, builtin = drawn()[name]
    promised = {parent or "Exception", *([builtin] if builtin else [])}
    assert {base.__name__ for base in CLASSES[name].__bases__} == promised
    assert issubclass(CLASSES[name], CorralError)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_says_in_one_sentence_what_it_means(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").strip().endswith(".") or "\n" in (CLASSES[name].__doc__ or "")


@pytest.mark.parametrize(("error", "facts"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_carries_its_facts_in_a_sentence_without_a_full_stop(
    error: CorralError, facts: dict[str, object]
) -> None:
    assert {key: getattr(error, key) for key in facts} == facts
    assert str(error)
    assert not str(error).endswith(".")
    assert str(error)[0] == str(error)[0].lower()


@pytest.mark.parametrize(("error", "facts"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_survives_pickling_and_copying_with_its_facts(error: CorralError, facts: dict[str, object]) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert {key: getattr(twin, key) for key in facts} == facts


@pytest.mark.parametrize("builtin", [ValueError, TypeError])
def test_an_unknown_option_can_be_caught_as_what_python_would_raise(builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise UnknownOptionError("dely", ["delay"])


def test_every_complaint_about_a_payload_is_in_the_message() -> None:
    assert (
        str(PayloadError("data refused", ["a: missing", "b: not a number"]))
        == "data refused; a: missing; b: not a number"
    )
    assert str(PayloadError("data refused")) == "data refused"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (QueueNotFoundError("mial", ["mail", "reports"]), "queue 'mial' is not registered; did you mean 'mail'?"),
        (
            UnknownJobError("mail", "welcom", ["welcome"]),
            "queue 'mail' has no handler named 'welcom'; did you mean 'welcome'?",
        ),
        (ScheduleNotFoundError("nihgtly", ["nightly"]), "schedule 'nihgtly' does not exist; did you mean 'nightly'?"),
        (ScheduleNotFoundError("xyz", ["nightly"]), "schedule 'xyz' does not exist"),
    ],
)
def test_a_misspelled_name_is_answered_with_the_nearest_one(error: CorralError, hint: str) -> None:
    assert str(error) == hint


def test_the_closest_word_is_found_or_none_is() -> None:
    assert closest("atempts", {"attempts", "timeout"}) == "attempts"
    assert closest("qqq", {"attempts", "timeout"}) is None
    assert closest("x", []) is None
