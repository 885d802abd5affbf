"""`corral add`."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from corral.cli.backend.direct_acts import DirectActs
from corral.cli.backend.port import Draft, Row
from corral.job import JobState
from corral.options import Exponential
from corral.storage.port import Storage

from .helpers import MAILER, Command, call, succeed, told, with_store


def job(url: str, job_id: str = "1", queue: str = "send-email") -> dict[str, object]:
    return dict(json.loads(succeed("jobs", "show", job_id, "--queue", queue, "--url", url, "-o", "json")))


def test_a_job_is_added_from_pairs(url: str) -> None:
    out = succeed("add", "send-email", "welcome-email", "to=user@example.com", "count:=25", "--url", url)
    assert out == "send-email/1 added\n"
    assert job(url)["data"] == {"to": "user@example.com", "count": 25}


def test_without_an_application_any_json_is_taken(url: str) -> None:
    succeed("add", "anything", "goes", '["x", 1]', "--url", url)
    assert job(url, queue="anything")["data"] == ["x", 1]


def test_data_comes_from_standard_input(url: str) -> None:
    succeed("add", "send-email", "welcome-email", "-", "--url", url, typed='{"to": "piped@example.com"}')
    assert job(url)["data"] == {"to": "piped@example.com"}


def test_with_an_application_its_handler_checks_the_payload(url: str) -> None:
    result = call("add", "send-email", "welcome-email", "too=user@example.com", "--app", MAILER, "--url", url)
    assert result.exit_code == 2
    assert "to: Field required" in result.stderr
    assert call("queues", "list", "--url", url).exit_code == 3, "the store was not even made"


def test_with_an_application_the_handlers_defaults_are_filled_in(url: str) -> None:
    succeed("--app", MAILER, "--url", url, "add", "send-email", "welcome-email", "to=user@example.com")
    assert job(url)["data"] == {"to": "user@example.com", "subject": "Hello"}


@pytest.mark.parametrize(
    ("queue", "name", "hint"),
    [("send-mail", "welcome-email", "send-email"), ("send-email", "welcome", "welcome-email")],
)
def test_with_an_application_a_misspelled_name_is_not_found(url: str, queue: str, name: str, hint: str) -> None:
    result = call("add", queue, name, "--app", MAILER, "--url", url)
    assert result.exit_code == 4
    assert f"did you mean '{hint}'?" in result.stderr


def test_options_are_stored_with_the_job(url: str) -> None:
    succeed(
        "add", "send-email", "welcome-email", "--url", url, "--delay", "1h", "--priority", "high", "--attempts", "5",
        "--backoff", "exp:2s", "--id", "order-7",
    )  # fmt: skip

    async def look(storage: Storage) -> None:
        [stored] = await storage.get("send-email", ["order-7"])
        assert stored is not None
        assert (stored.state, stored.priority) == (JobState.DELAYED, 10)
        assert (stored.options.attempts, stored.options.backoff) == (5, Exponential(2))
        assert stored.run_at == stored.created_at + 3_600_000

    with_store(url, look)


def test_a_job_is_added_for_a_point_in_time(url: str) -> None:
    succeed("add", "send-email", "welcome-email", "--url", url, "--at", "2031-05-06T07:08:09Z")
    assert job(url)["run_at"] == "2031-05-06T07:08:09.000Z"


def test_a_second_job_with_the_same_id_is_not_added(url: str) -> None:
    words = ("add", "send-email", "welcome-email", "--id", "order-7", "--url", url)
    assert succeed(*words) == "send-email/order-7 added\n"
    result = call(*words)
    assert (result.exit_code, result.stdout) == (0, "send-email/order-7 exists\n")
    assert "is left as it is" in result.stderr
    assert told(*words)[0]["added"] is False


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--delay", "5x"), "'--delay': '5x' is not a duration"),
        (("--priority", "urgent!"), "'--priority': 'urgent!' is not a priority"),
        (("--attempts", "0"), "attempts must be a whole number from 1 to 1000, not 0"),
        (("--id", "12"), "looks like a number"),
        (("--id", "wait"), "is reserved"),
        (("--delay", "1s", "--at", "+1s"), "give delay or at, not both"),
        (('{"a": NaN}',), "payload is not JSON"),
        (("--bulk", "x", "--wait"), "--bulk takes its data from the file"),
        (("--bulk", "missing.ndjson"), "file 'missing.ndjson' cannot be read: No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    folder: Path, url: str, words: tuple[str, ...], complaint: str
) -> None:
    result = call("add", "send-email", "welcome-email", *words, "--url", url)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert list(folder.iterdir()) == []


def test_a_file_adds_a_job_for_each_line(folder: Path, url: str) -> None:
    lines = [json.dumps({"to": f"user{number}@example.com"}) for number in range(12)]
    (folder / "users.ndjson").write_text("\n".join(lines[:6]) + "\n\n" + "\n".join(lines[6:]) + "\n")
    words = ("add", "send-email", "welcome-email", "--bulk", "users.ndjson", "--app", MAILER, "--url", url)
    assert told(*words) == [{"queue": "send-email", "name": "welcome-email", "added": 12}]
    assert told("queues", "list", "--url", url)[0]["waiting"] == 12


def test_a_bad_line_of_a_file_is_named_and_no_line_is_added(folder: Path, url: str) -> None:
    (folder / "users.ndjson").write_text('{"to": "a@example.com"}\n{"too": "b@example.com"}\n')
    words = ("add", "send-email", "welcome-email", "--bulk", "users.ndjson", "--app", MAILER, "--url", url)
    result = call(*words)
    assert result.exit_code == 2
    assert "line 2: payload is refused; to: Field required; nothing was added" in result.stderr
    assert not (folder / "test.db").exists()


def test_waiting_for_a_job_that_nobody_runs_times_out_with_7(url: str) -> None:
    result = call("add", "send-email", "welcome-email", "--wait", "--timeout", "50ms", "--url", url)
    assert result.exit_code == 7
    assert "timed out after 0.05 s" in result.stderr


@pytest.mark.mission("M-TS-35")
def test_m_ts_35_jobs_are_numbered_from_one(url: str) -> None:
    lines = [succeed("add", "send-email", "welcome-email", "--url", url) for _ in range(3)]
    assert lines == ["send-email/1 added\n", "send-email/2 added\n", "send-email/3 added\n"]


@pytest.mark.slow  # an interpreter
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_waits_may_stop_waiting(folder: Path, url: str, number: signal.Signals, code: int) -> None:
    with Command("add", "send-email", "welcome-email", "--wait", "--url", url, cwd=folder) as command:
        command.line("send-email/1 added, waiting for its end")
        command.signal(number)
        assert command.end() == code
    assert job(url)["state"] == "waiting"


def test_a_file_that_is_broken_off_says_how_far_it_came(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "users.ndjson").write_text('{"to": "a"}\n' * 5)
    monkeypatch.setattr(DirectActs, "together", 2)
    whole = DirectActs.add

    async def twice(back: DirectActs, queue: str, drafts: Sequence[Draft]) -> list[Row]:
        if (await back.storage.counts([queue]))[0].waiting:
            raise KeyboardInterrupt
        return await whole(back, queue, drafts)

    monkeypatch.setattr(DirectActs, "add", twice)
    result = call("add", "send-email", "welcome-email", "--bulk", "users.ndjson", "--url", url)
    assert result.exit_code == 130
    assert "at least the first 2 of 5 jobs are added" in result.stderr
    assert len(told("jobs", "list", "--url", url)) == 2
