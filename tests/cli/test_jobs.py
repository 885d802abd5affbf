"""`corral jobs`: looking at jobs and acting on them."""

import json
from collections.abc import Sequence

import pytest

from corral.cli.backend.direct_acts import DirectActs
from corral.job import NewJob
from corral.outcome import Failed, Retried
from corral.storage.port import Claim, Settlement, Storage, Token

from .helpers import FAILED, HOUR, call, columns, finish, heed_cancel, press_ctrl_c, put, succeed, told, with_store

MAIL = "send-email"


def states(url: str) -> dict[str, object]:
    return {str(row["id"]): row["state"] for row in told("jobs", "list", "--url", url)}


def test_jobs_are_listed_by_queue_and_state(url: str) -> None:
    finish(url, MAIL, 1)
    finish(url, MAIL, 1, FAILED)
    put(url, NewJob(queue=MAIL, name="welcome-email"), NewJob(queue="other", name="later", delay_ms=HOUR))
    assert {(row["queue"], row["state"]) for row in told("jobs", "list", "--url", url)} == {
        (MAIL, "completed"), (MAIL, "failed"), (MAIL, "waiting"), ("other", "delayed"),
    }  # fmt: skip
    [only] = told("jobs", "list", "--url", url, "--queue", MAIL, "--state", "failed")
    assert only["failed_reason"] == FAILED.reason
    assert [row["name"] for row in told("jobs", "list", "--url", url, "--name", "later")] == ["later"]


def test_attempts_are_shown_with_their_times_and_what_came_of_them(url: str) -> None:
    put(url, NewJob(queue=MAIL, name="x", id="a"))

    async def fail_twice(store: Storage) -> None:
        for outcome in (Retried(0, "ValueError: one", "Traceback\nValueError: one"), FAILED):
            token = Token(f"t-{outcome}")
            [job] = (await store.claim(MAIL, Claim(count=1, token=token, lease_ms=HOUR, worker="w-1"))).jobs
            await store.settle(MAIL, [Settlement(job_id=job.id, token=token, outcome=outcome)])

    with_store(url, fail_twice)
    shown = call("jobs", "show", "a", "--url", url, "--attempts", "--output", "wide").output
    first = next(line for line in shown.splitlines() if line.startswith("attempt 1 failed"))
    assert "w-1" in first
    assert "ValueError: one" in first
    assert first.endswith("→ again after 0ms")
    assert f"  w-1  {FAILED.reason}" in shown


def test_a_list_shows_the_beginning_of_a_payload_and_its_size(url: str) -> None:
    put(url, NewJob(queue=MAIL, name="big", data=json.dumps("x" * 50_000)))
    [row] = told("jobs", "list", "--url", url)
    assert len(str(row["preview"])) == 60
    assert row["size"] == 50_002


def test_a_list_that_is_cut_says_of_how_many(url: str) -> None:
    put(url, *[NewJob(queue=MAIL, name="x")] * 5)
    result = call("jobs", "list", "--limit", "2", "--url", url)
    assert len(columns(result.stdout)) == 3
    assert "2 of 5" in result.stderr


def test_off_a_terminal_a_table_is_tab_separated_and_nothing_is_cut(url: str) -> None:
    name = "a-rather-long-name-" + "x" * 100
    put(url, NewJob(queue=MAIL, name=name))
    header, row = columns(succeed("jobs", "list", "--url", url))
    assert header[:4] == ["QUEUE", "ID", "NAME", "STATE"]
    assert row[:4] == [MAIL, "1", name, "waiting"]


def test_a_job_is_shown_with_its_error_and_its_traceback(url: str) -> None:
    [job_id] = finish(url, MAIL, 1, Failed("RuntimeError: no", trace="Traceback …\nRuntimeError: no"))
    text = succeed("jobs", "show", job_id, "--url", url)
    assert "failed_reason\tRuntimeError: no\n" in text
    assert text.endswith("    Traceback …\n    RuntimeError: no\n")


def test_an_id_alone_is_looked_for_in_every_queue(url: str) -> None:
    put(url, NewJob(queue="a", name="x", id="first"), NewJob(queue="b", name="x", id="second"))
    assert told("jobs", "show", "second", "--url", url)[0]["queue"] == "b"


def test_an_id_in_two_queues_needs_the_queue(url: str) -> None:
    put(url, NewJob(queue="a", name="x", id="same"), NewJob(queue="b", name="x", id="same"))
    result = call("jobs", "show", "same", "--url", url)
    assert result.exit_code == 6
    assert "say --queue a or --queue b" in result.stderr
    assert told("jobs", "show", "same", "--queue", "a", "--url", url)[0]["queue"] == "a"


@pytest.mark.parametrize("words", [("show", "99"), ("logs", "99"), ("retry", "99"), ("remove", "99", "-y")])
def test_a_job_that_is_not_there_is_not_found(url: str, words: tuple[str, ...]) -> None:
    put(url, NewJob(queue=MAIL, name="x"))
    result = call("jobs", *words, "--url", url)
    assert result.exit_code == 4
    assert "job '99' is not in any queue" in result.stderr


def test_a_misspelled_queue_is_not_found_and_not_made(url: str) -> None:
    put(url, NewJob(queue=MAIL, name="x"))
    result = call("jobs", "list", "--queue", "send-mail", "--url", url)
    assert result.exit_code == 4
    assert "it has send-email" in result.stderr
    assert [row["queue"] for row in told("queues", "list", "--url", url)] == [MAIL]


def test_the_last_lines_of_a_jobs_log_are_shown(url: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x"))

    async def log(storage: Storage) -> None:
        await storage.log(MAIL, job_id, [f"line {number}" for number in range(5)])

    with_store(url, log)
    assert succeed("jobs", "logs", job_id, "--tail", "2", "--url", url) == "line 3\nline 4\n"
    assert told("jobs", "logs", job_id, "--tail", "1", "--url", url) == [{"line": "line 4"}]


@pytest.mark.parametrize(
    "early",
    [
        "2020-01-01T10:00:00Z begun",
        "2020-01-01 10:00:00.123 info: begun",
        "[2020-01-01 10:00:00,5 +0200] begun",
        'ts=2020-01-01T10:00:00.123Z level=info msg="begun"',
        '{"ts": "2020-01-01T10:00:00.123Z", "msg": "begun"}',
    ],
)
def test_a_log_is_shown_since_a_time_that_its_lines_say(url: str, early: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x"))
    late = "2999-01-01T00:00:00Z done"

    async def log(storage: Storage) -> None:
        await storage.log(MAIL, job_id, [early, "  more about it", late, "  and that"])

    with_store(url, log)
    words = ("jobs", "logs", job_id, "--url", url, "--since")
    assert succeed(*words, "1h") == f"{late}\n  and that\n"
    assert len(succeed(*words, "2019-12-31T00:00Z").splitlines()) == 4
    assert succeed(*words, "1h", "--tail", "1") == "  and that\n"


def test_a_log_without_times_is_shown_whole_and_says_so(url: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x"))

    async def log(storage: Storage) -> None:
        await storage.log(MAIL, job_id, ["to bob", "2020-13-45T10:00:00Z is no date"])

    with_store(url, log)
    result = call("jobs", "logs", job_id, "--since", "1h", "--url", url)
    assert len(result.stdout.splitlines()) == 2
    assert "no line begins with a time" in result.stderr


def test_s_50_what_is_stored_cannot_steer_the_terminal(url: str) -> None:
    evil = "\x1b]0;owned\x07\r\n\x9b2J\u202e"
    [job_id] = finish(url, MAIL, 1, Failed(f"RuntimeError: {evil}", trace=evil))
    put(url, NewJob(queue=MAIL, name="x", id="evil", data=json.dumps({"to": evil})))

    async def log(storage: Storage) -> None:
        await storage.log(MAIL, "evil", [evil])

    with_store(url, log)
    for words in (
        ("list",),
        ("list", "-o", "json"),
        ("show", job_id),
        ("show", "evil"),
        ("logs", "evil"),
        ("show", "evil", "-o", "json"),
    ):
        text = succeed("jobs", *words, "--url", url)
        assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(text), ascii(text)


# -- acting ------------------------------------------------------------------------------------------------------------


def test_a_failed_job_is_retried(url: str) -> None:
    [job_id] = finish(url, MAIL, 1, FAILED)
    result = call("jobs", "retry", job_id, "--url", url)
    assert (result.exit_code, columns(result.stdout)) == (0, [["QUEUE", "ID"], [MAIL, job_id]])
    assert "retried 1 job\n" in result.stderr
    assert states(url) == {job_id: "waiting"}


def test_an_interrupted_retry_of_named_jobs_says_how_many_are_done(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [first] = finish(url, "a", 1, FAILED)
    [second] = finish(url, "b", 1, FAILED)
    whole = DirectActs.act

    async def once(
        back: DirectActs, verb: str, queue: str, ids: Sequence[str], *, reset_attempts: bool, children: bool
    ) -> list[str]:
        if queue == "b":
            await press_ctrl_c()
        return await whole(back, verb, queue, ids, reset_attempts=reset_attempts, children=children)

    monkeypatch.setattr(DirectActs, "act", once)
    heed_cancel(monkeypatch, "act")
    result = call("jobs", "retry", f"a/{first}", f"b/{second}", "--url", url)
    assert (result.exit_code, result.stderr) == (130, "interrupted: at least 1 of 2 jobs retried\n")
    assert {row["queue"]: row["failed"] for row in told("queues", "list", "--url", url)} == {"a": 0, "b": 1}


def test_all_failed_jobs_of_a_queue_are_retried(url: str) -> None:
    finish(url, MAIL, 2)
    failed = finish(url, MAIL, 3, FAILED)
    [operation] = told("jobs", "retry", "--queue", MAIL, "--url", url)
    assert (operation["action"], operation["state"], operation["done"]) == ("retry", "done", len(failed))
    assert sorted(str(state) for state in states(url).values()) == ["completed"] * 2 + ["waiting"] * 3


def test_a_delayed_job_is_promoted(url: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x", delay_ms=HOUR))
    succeed("jobs", "promote", job_id, "--url", url)
    assert states(url) == {job_id: "waiting"}


def test_a_waiting_job_is_cancelled_with_the_reason(url: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x"))
    succeed("jobs", "cancel", job_id, "--reason", "no longer wanted", "--url", url)
    assert "no longer wanted" in str(told("jobs", "show", job_id, "--url", url)[0]["failed_reason"])


def test_what_cannot_be_done_to_a_job_is_a_conflict(url: str) -> None:
    [job_id] = put(url, NewJob(queue=MAIL, name="x"))
    result = call("jobs", "retry", job_id, "--url", url)
    assert result.exit_code == 6
    assert f"{MAIL}/{job_id} is waiting; only these states can be retried: completed, failed" in result.stderr


def test_what_is_only_partly_done_ends_with_1(url: str) -> None:
    [failed] = finish(url, MAIL, 1, FAILED)
    [waiting] = put(url, NewJob(queue=MAIL, name="x"))
    assert call("jobs", "retry", failed, waiting, "--url", url).exit_code == 1
    assert states(url) == {failed: "waiting", waiting: "waiting"}


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "remove", "1"),
        ("jobs", "remove", "--queue", MAIL, "--state", "waiting"),
        ("jobs", "cancel", "--queue", MAIL),
        ("queues", "drain", MAIL),
    ],
)
def test_what_cannot_be_undone_needs_yes_where_nobody_can_be_asked(url: str, words: tuple[str, ...]) -> None:
    put(url, NewJob(queue=MAIL, name="x"))
    result = call(*words, "--url", url)
    assert result.exit_code == 2
    assert "say --yes" in result.stderr
    assert states(url) == {"1": "waiting"}
    assert call(*words, "--yes", "--url", url).exit_code == 0
    assert states(url) in ({}, {"1": "failed"})


@pytest.mark.parametrize(
    "words",
    [
        ("retry",),
        ("retry", "1", "--state", "failed"),
        ("retry", "--queue", MAIL, "--state", "waiting"),
        ("remove", "--queue", MAIL, "-y"),
        ("remove", "--queue", MAIL, "--state", "active", "-y"),
        ("retry", "--queue", MAIL, "--state", "lost"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_a_usage_error(url: str, words: tuple[str, ...]) -> None:
    finish(url, MAIL, 1, FAILED)
    assert call("jobs", *words, "--url", url).exit_code == 2
    assert states(url) == {"1": "failed"}
