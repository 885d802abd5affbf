"""What the command line shows over the HTTP API is what it shows of the store itself. On each engine."""

from collections.abc import Iterator

import pytest

from tests.redis_server import fresh_prefix, with_prefix

from .api_server import MAIL, Both, served


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("api")
    store = f"sqlite:///{folder / 'test.db'}"
    if request.param == "redis":
        store = with_prefix(request.getfixturevalue("redis_url"), fresh_prefix())
    with served(store, folder) as made:
        yield made


@pytest.mark.parametrize(
    "words",
    [
        ("queues", "list"),
        ("queues", "list", "--match", "re*"),
        ("queues", "show", MAIL),
        ("stats",),
        ("stats", "--queue", MAIL, "--window", "1h"),
        ("jobs", "list"),
        ("jobs", "list", "--queue", MAIL, "--state", "failed"),
        ("jobs", "list", "-q", "name:welcome", "--all"),
        ("jobs", "show", f"{MAIL}/1", "--why"),
        ("jobs", "show", "sum-1", "--queue", "top", "--flow"),
        ("jobs", "logs", "1", "--queue", MAIL, "--tail", "2"),
        ("failures", "list"),
        ("failures", "show", "f1"),
        ("attention", "list", "--muted"),
        ("flows", "list"),
        ("flows", "show", "sum-1"),
        ("schedules", "list"),
        ("schedules", "list", "--state", "active", "--match", "we*"),
        ("schedules", "show", "weekly"),
        ("schedules", "next", "weekly", "-n", "30"),
        ("workers", "list"),
        ("workers", "show", "mailer-1"),
        ("operations", "list"),
        ("mark", "list"),
        ("token", "list"),
    ],
    ids=" ".join,
)
def test_an_api_and_its_store_tell_the_same(both: Both, words: tuple[str, ...]) -> None:
    there, here = both.remote(*words), both.direct(*words)
    assert there == here
    assert here is not None


def test_a_failed_job_has_its_traceback_over_the_api_too(both: Both) -> None:
    failed = both.direct("jobs", "list", "--state", "failed")
    assert isinstance(failed, list)
    shown = both.remote("jobs", "show", str(failed[0]["id"]), "--queue", MAIL)
    assert isinstance(shown, dict)
    assert "SMTPTimeout" in str(shown["traces"])
    assert shown["failed_reason"] == "SMTPTimeout: 550 no such mailbox"


def test_the_attempts_of_a_job_are_the_same_over_the_api(both: Both) -> None:
    failed = both.direct("jobs", "list", "--state", "failed")
    assert isinstance(failed, list)
    words = ("jobs", "show", str(failed[0]["id"]), "--queue", MAIL)
    there, here = both.remote(*words), both.direct(*words)
    assert isinstance(there, dict)
    assert isinstance(here, dict)
    assert there["history"] == here["history"]
    [attempt] = here["history"]
    assert (attempt["n"], attempt["outcome"]) == (1, "failed")
    assert attempt["started_at"] <= attempt["finished_at"]
    assert attempt["reason"] == "SMTPTimeout: 550 no such mailbox"
