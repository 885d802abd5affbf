"""What is done over the HTTP API has been done to the store: a real server process, on each engine."""

import asyncio
import contextlib
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from corral.cli import operating
from corral.cli.backend.client import AHEAD, Client
from corral.cli.failures import Failure
from corral.job import NewJob
from tests.redis_server import fresh_prefix, with_prefix

from .api_server import MAIL, TOKEN, VIEWER, Both, failed, served, still
from .helpers import HOUR, Command, call, finish, put


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("api")
    store = f"sqlite:///{folder / 'test.db'}"
    if request.param == "redis":
        store = with_prefix(request.getfixturevalue("redis_url"), fresh_prefix())
    with served(store, folder) as made:
        yield made


def rows(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def test_jobs_are_added_awaited_changed_and_removed(both: Both) -> None:
    added = both.remote("add", "letters", "write", "to=bob", "--tag", "x", "--delay", "1h", "--attempts", "4",
                        "--backoff", "exp:2s", "--keep-failed", "10,1h")  # fmt: skip
    assert isinstance(added, dict)
    job_id = str(added["id"])
    both.remote("jobs", "edit", job_id, "--queue", "letters", "--set", "copy:=[1]", "--delay", "2h")
    shown = both.direct("jobs", "show", job_id, "--queue", "letters")
    assert isinstance(shown, dict)
    assert (shown["data"], shown["tags"], shown["attempts"]) == ({"to": "bob", "copy": [1]}, ["x"], 4)
    assert both.remote("jobs", "promote", job_id, "--queue", "letters") == [{"queue": "letters", "id": job_id}]
    again = both.remote("jobs", "rerun", job_id, "--queue", "letters", "--set", "to=eve")
    assert isinstance(again, dict)
    both.remote("jobs", "cancel", job_id, "--queue", "letters", "--reason", "no longer wanted")
    both.remote("jobs", "retry", job_id, "--queue", "letters")
    assert call("jobs", "retry", job_id, "--queue", "letters", "--api", both.api, "--token", TOKEN).exit_code == 6
    both.remote("jobs", "remove", job_id, str(again["id"]), "--queue", "letters", "--yes")
    assert both.direct("jobs", "list", "--queue", "letters") == []


def test_many_jobs_are_reached_by_a_search(both: Both) -> None:
    put(both.store, *[NewJob(queue="bulk", name="x", data=json.dumps({"n": number})) for number in range(150)])
    preview = both.remote("jobs", "cancel", "--queue", "bulk", "--dry-run")
    assert isinstance(preview, dict)
    assert preview["count"] == 150
    done = both.remote("jobs", "cancel", "--queue", "bulk", "--yes")
    assert isinstance(done, dict)
    assert (done["state"], done["done"], done["failed"]) == ("done", 150, 0)
    few = both.remote("jobs", "remove", "-q", "queue:bulk data.n:7", "--state", "failed", "--yes")
    assert isinstance(few, dict)
    assert few["done"] == 1
    counts = both.direct("queues", "show", "bulk")
    assert isinstance(counts, dict)
    assert (counts["waiting"], counts["failed"]) == (0, 149)


def test_a_file_of_jobs_is_added_and_written_again(both: Both) -> None:
    lines = "\n".join(json.dumps({"n": number}) for number in range(5))
    result = call("add", "files", "x", "--bulk", "-", "--api", both.api, "--token", TOKEN, typed=lines)
    assert result.exit_code == 0, result.output
    words = ("jobs", "export", "--queue", "files", "--include", "data", "--api", both.api, "--token", TOKEN)
    found = [json.loads(line)["data"]["n"] for line in call(*words).stdout.splitlines()]
    assert sorted(found) == [0, 1, 2, 3, 4]
    entries = [row for row in rows(both.direct("audit", "--action", "job.export")) if "files" in str(row["query"])]
    assert len(entries) == 1
    assert entries[0]["method"] == "token"
    over, straight = (
        [still(json.loads(line)) for line in call("jobs", "export", "--queue", "files", *there).stdout.splitlines()]
        for there in (("--api", both.api, "--token", TOKEN), ("--url", both.store))
    )
    assert over == straight
    one = call(*words, "--max", "2")
    assert len(one.stdout.splitlines()) == 2
    refused = call("jobs", "export", "-q", "nonsense:~", "--api", both.api, "--token", TOKEN)
    assert refused.exit_code == 2, refused.output


def test_a_search_in_the_background_is_done_by_the_api(both: Both) -> None:
    put(both.store, *[NewJob(queue="hay", name="x", data=json.dumps({"n": number})) for number in range(60)])
    found = rows(both.remote("jobs", "list", "-q", "data.n:<20", "--queue", "hay", "--background"))
    assert len(found) == 20
    [operation] = [row for row in rows(both.remote("operations", "list")) if "hay" in str(row["query"])]
    assert rows(both.remote("operations", "results", str(operation["id"]))) == found
    assert rows(both.direct("operations", "results", str(operation["id"]))) == found


def test_what_is_much_is_deleted_by_the_api_as_an_operation(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "FEW", 2)
    put(both.store, *[NewJob(queue="much", name="x")] * 5)
    finish(both.store, "much", 4, ago=48 * HOUR)
    both.remote("queues", "pause", "much")  # what the API has seen of it is out of date then
    [cleaned] = rows(both.remote("queues", "clean", "much"))
    assert (cleaned["cleaned_completed"], cleaned["completed"], cleaned["waiting"]) == (4, 0, 5)
    assert both.remote("queues", "drain", "much", "--yes") == {"queue": "much", "removed": 5}
    put(both.store, *[NewJob(queue="much", name="x")] * 3)
    both.remote("queues", "pause", "much")
    assert both.remote("queues", "obliterate", "much", "--yes") == {"queue": "much", "removed": 3}
    assert "much" not in str(both.direct("queues", "list"))
    done = [(row["action"], row["state"], row["done"]) for row in rows(both.remote("operations", "list"))
            if "much" in str(row["query"])]  # fmt: skip
    assert done == [("obliterate", "done", 3), ("drain", "done", 5), ("clean", "done", 4)]


def test_a_queue_is_paused_limited_cleaned_drained_and_deleted(both: Both) -> None:
    put(both.store, *[NewJob(queue="short", name="x")] * 3)
    finish(both.store, "short", 2, ago=48 * HOUR)
    both.remote("queues", "pause", "short", "--reason", "Umzug – 50 %", "--for", "1h")
    both.remote("queues", "limit", "short", "--concurrency", "3", "--rate", "10/1s")
    shown = both.direct("queues", "show", "short")
    assert isinstance(shown, dict)
    assert (shown["state"], shown["concurrency"], shown["rate_limit"]) == ("paused", 3, "10 / 1 s")
    both.remote("queues", "resume", "short")
    both.remote("queues", "limit", "short", "--concurrency", "none", "--rate", "none")
    [cleaned] = rows(both.remote("queues", "clean", "short", "--state", "completed"))
    assert cleaned["cleaned_completed"] == 2
    assert both.remote("queues", "drain", "short", "--yes") == {"queue": "short", "removed": 3}
    both.remote("queues", "obliterate", "short", "--yes")
    assert "short" not in str(both.direct("queues", "list"))
    entries = rows(both.remote("audit", "--queue", "short"))
    assert {entry["action"] for entry in entries} >= {"queue.pause", "queue.resume", "queue.drain", "queue.obliterate"}
    assert {entry["actor"] for entry in entries} == {"cli"}
    assert "Umzug – 50 %" in {entry["reason"] for entry in entries}


def test_a_schedule_is_made_changed_run_and_removed(both: Both) -> None:
    both.remote("schedules", "add", "nightly", "--queue", "reports", "--name", "weekly", "--cron", "0 3 * * *",
                "--data", '{"n": 1}')  # fmt: skip
    both.remote("schedules", "edit", "nightly", "--every", "1h", "--limit", "7")
    shown = both.direct("schedules", "show", "nightly")
    assert isinstance(shown, dict)
    assert (shown["when"], shown["limit"]) == ("every 3600 s", 7)
    ran = both.remote("schedules", "run", "nightly")
    assert isinstance(ran, dict)
    assert both.direct("jobs", "show", str(ran["id"]), "--queue", "reports")
    both.remote("schedules", "pause", "nightly")
    both.remote("schedules", "resume", "nightly")
    both.remote("schedules", "repair", "nightly")
    both.remote("schedules", "remove", "nightly", "--yes")
    assert "nightly" not in str(both.direct("schedules", "list"))


def test_failures_are_retried_and_muted(both: Both) -> None:
    finish(both.store, "broken", 3, failed("Boom", "x", "f9"))
    both.remote("queues", "show", "broken")  # what an API knows of all queues is up to a second old, of one it is not
    both.remote("failures", "mute", "f9", "--until", "1h")
    both.remote("failures", "mute", "f9", "--off")
    done = both.remote("failures", "retry", "f9")
    assert isinstance(done, dict)
    assert done["done"] == 3


def test_what_wants_attention_is_muted_and_heard_of_again(both: Both) -> None:
    put(both.store, *[NewJob(queue="left", name="x", data="{}") for _ in range(3)])
    both.remote("queues", "show", "left")
    finding = next(str(one["id"]) for one in rows(both.direct("attention", "list", "--queue", "left")))
    both.remote("attention", "mute", finding, "--for", "2h", "--reason", "known")
    assert both.direct("attention", "list", "--queue", "left") == []
    muted = rows(both.direct("attention", "list", "--queue", "left", "--muted"))
    assert [one["id"] for one in muted if one["muted_until"]] == [finding]
    both.direct("attention", "unmute", finding)
    assert [one["id"] for one in rows(both.remote("attention", "list", "--queue", "left"))] == [finding]


def test_a_flow_is_added_and_told(both: Both, tmp_path: Path) -> None:
    file = tmp_path / "tree.json"
    file.write_text(json.dumps({"queue": "f-top", "name": "sum", "children": [{"queue": "f-part", "name": "part"}]}))
    added = both.remote("flows", "add", "--file", str(file))
    assert isinstance(added, dict)
    assert (added["queue"], added["jobs"]) == ("f-top", 2)
    assert both.direct("flows", "show", str(added["id"]), "--queue", "f-top")


def test_tokens_and_marks_are_made_and_taken_back(both: Both) -> None:
    made = both.remote("token", "create", "ci", "--role", "viewer", "--queue", "mail*", "--expires", "90d")
    assert isinstance(made, dict)
    assert str(made["token"]).startswith("crl_")
    assert call("queues", "list", "--api", both.api, "--token", str(made["token"])).exit_code == 0
    both.remote("token", "revoke", str(made["id"]))
    assert call("queues", "list", "--api", both.api, "--token", str(made["token"])).exit_code == 5
    mark = both.remote("mark", "add", "v2.3.1", "--url", "https://example.com/v2.3.1")
    assert isinstance(mark, dict)
    both.remote("mark", "remove", str(mark["id"]))


def test_the_doctor_speaks_over_the_api(both: Both) -> None:
    result = call("doctor", "--only", "worker", "--api", both.api, "--token", TOKEN, "-o", "ndjson")
    assert {json.loads(line)["check"] for line in result.stdout.splitlines()} == {"worker"}
    assert result.exit_code == 8


def test_what_happens_is_heard_over_the_api(both: Both, tmp_path: Path) -> None:
    put(both.store, NewJob(queue="heard", name="x"))
    words = ("events", "--queue", "heard", "--max", "1", "--type", "waiting", "-o", "ndjson")
    with Command(*words, "--api", both.api, "--token", TOKEN, cwd=tmp_path) as listening:
        listening.line("listening")
        # The stream may not be open yet: whoever calls until somebody hears cannot be too early.
        while listening.process.poll() is None:
            put(both.store, NewJob(queue="heard", name="x"))
        assert listening.end() == 0
    assert any('"waiting"' in line for line in listening.lines)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "said"), [((), "--token"), (("--token", "wrong"), "token"), (("--token", VIEWER), "queue:pause")]
)
def test_who_may_not_is_told_so_with_5(both: Both, token: tuple[str, ...], said: str) -> None:
    result = call("queues", "pause", MAIL, "--api", both.api, *token)
    assert result.exit_code == 5, result.output
    assert said in result.stderr


def test_what_is_not_there_is_4_and_what_cannot_be_read_is_2(both: Both) -> None:
    def code(*words: str) -> int:
        return call(*words, "--api", both.api, "--token", TOKEN).exit_code

    assert code("queues", "show", "nowhere") == 4
    assert code("jobs", "show", "no-such-job") == 4
    assert code("schedules", "show", "no-such-schedule") == 4
    assert code("operations", "show", "op_nothing") == 4
    assert code("jobs", "list", "-q", "stat:failed") == 2
    assert code("jobs", "list", "-q", "state:failed", "--json", "id,nothing") == 2


class Hurried(http.server.BaseHTTPRequestHandler):
    """An API that has too much to do when it is asked for the first time, and then very many lines."""

    calls: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.calls.append(self.path)
        first = len(self.calls) == 1
        text = json.dumps({"code": "rate-limited", "retry_after_seconds": 0.1}) if first else "a line\n" * 10_000
        self.send_response(429 if first else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever has had enough goes
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class BrokenOff(Hurried):
    """An API that dies in the middle of its answer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"7\r\na line\n\r\n")


@contextlib.asynccontextmanager
async def spoken_to(kind: type[Hurried]) -> AsyncIterator[Client]:
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Client(f"http://127.0.0.1:{server.server_port}")
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()


async def test_a_stream_is_asked_for_again_and_left_when_it_is_enough() -> None:
    Hurried.calls.clear()
    async with spoken_to(Hurried) as client, contextlib.aclosing(client.lines("/jobs/export")) as coming:
        assert [await anext(coming) for _ in range(AHEAD * 2)] == ["a line"] * AHEAD * 2
    assert len(Hurried.calls) == 2


async def test_a_stream_that_breaks_off_does_not_pass_for_all_there_is() -> None:
    async with spoken_to(BrokenOff) as client, contextlib.aclosing(client.lines("/jobs/export")) as coming:
        assert await anext(coming) == "a line"
        with pytest.raises(Failure) as caught:
            await anext(coming)
    assert caught.value.exit_code == 3


def test_an_api_that_is_not_there_is_3(tmp_path: Path) -> None:
    result = call("queues", "list", "--api", "http://127.0.0.1:1", "--token", "x")
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize(
    "address", ["localhost:8800", "ftp://host", "http://", "http://ann:pw@host/"], ids=lambda text: text
)
def test_an_address_that_cannot_be_meant_is_2(address: str) -> None:
    assert call("queues", "list", "--api", address).exit_code == 2


def test_a_store_and_an_api_at_once_are_2(url: str) -> None:
    assert call("queues", "list", "--api", "http://127.0.0.1:1", "--url", url).exit_code == 2
