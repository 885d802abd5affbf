"""Long operations: counted before, done in pages, safe to interrupt, and gone on with from anywhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.cli import operating
from corral.cli.backend.direct import Direct
from corral.cli.backend.port import Row, through
from corral.cli.failures import Failure
from corral.cli.operating import follow
from corral.cli.render import Printer
from corral.cli.shared import Globals
from corral.job import JobState, NewJob
from corral.monitor.monitor import Monitor
from corral.storage.port import Storage

from .helpers import Command, call, put, succeed, told, with_store

MAIL = "send-email"


def fill(url: str, count: int) -> None:
    put(url, *[NewJob(queue=MAIL, name="x", data=json.dumps({"n": number})) for number in range(count)])


def test_a_dry_run_counts_and_changes_nothing(storage_url: str) -> None:
    fill(storage_url, 30)
    [seen] = told("jobs", "cancel", "-q", "data.n:<10", "--dry-run", "--url", storage_url)
    assert (seen["count"], seen["exact"]) == (10, True)
    assert waiting(storage_url) == 30


def waiting(url: str) -> int:
    async def count(storage: Storage) -> int:
        return (await storage.page(MAIL, [JobState.WAITING], limit=1)).total

    return with_store(url, count)


def test_a_search_is_acted_on_and_noted(storage_url: str) -> None:
    fill(storage_url, 700)
    words = ("jobs", "remove", "-q", "data.n:>=100", "--yes", "--reason", "a mistake", "--url", storage_url)
    [done] = told(*words)
    assert (done["state"], done["done"], done["failed"]) == ("done", 600, 0)
    assert waiting(storage_url) == 100
    [entry] = told("audit", "--action", "bulk.*", "--url", storage_url)
    assert (entry["action"], entry["reason"], entry["via"]) == ("bulk.remove", "a mistake", "cli")
    [listed] = told("operations", "list", "--url", storage_url)
    assert listed["id"] == done["id"]


def test_at_most_so_many_are_reached(storage_url: str) -> None:
    fill(storage_url, 20)
    [done] = told("jobs", "cancel", "--queue", MAIL, "--max", "5", "--yes", "--url", storage_url)
    assert done["done"] == 5
    assert waiting(storage_url) == 15


def test_nothing_to_do_is_nothing_done(storage_url: str) -> None:
    fill(storage_url, 1)
    result = call("jobs", "retry", "--queue", MAIL, "--url", storage_url)
    assert (result.exit_code, result.stderr) == (0, "retried 0 jobs\n")


def left_behind(url: str) -> str:
    """An operation that somebody began and did not live to work on."""

    async def begin(storage: Storage) -> str:
        desk = Admin(storage, Monitor(storage)).by(Actor(sub="ann"))
        return (await desk.start("cancel", query=f"queue:{MAIL}")).id

    return with_store(url, begin)


async def test_an_interrupted_operation_says_what_is_done_and_how_to_go_on(
    storage: Storage, storage_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await storage.add([NewJob(queue=MAIL, name="x")] * 3)
    back = Direct(storage, storage_url)
    begun = await back.start("cancel", f"queue:{MAIL}", None)
    # Nobody works on it here, so it cannot be through before it is interrupted.
    watching = asyncio.create_task(follow(Printer(Globals()), back, begun))
    await asyncio.wait([watching], timeout=0.0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    said = capsys.readouterr().err
    assert said.startswith("interrupted: at least 0")
    assert f"corral operations wait {begun['id']}" in said
    assert f"corral operations abort {begun['id']}" in said


def test_an_operation_that_was_left_behind_is_gone_on_with(storage_url: str) -> None:
    fill(storage_url, 1_200)
    operation = left_behind(storage_url)
    assert waiting(storage_url) == 1_200
    [done] = told("operations", "wait", operation, "--url", storage_url)
    assert (done["state"], done["done"], done["by"]) == ("done", 1_200, "ann")
    assert waiting(storage_url) == 0


def test_an_operation_that_was_left_behind_is_dropped(storage_url: str) -> None:
    fill(storage_url, 3)
    operation = left_behind(storage_url)
    succeed("operations", "abort", operation, "--url", storage_url)
    assert call("operations", "wait", operation, "--url", storage_url).exit_code == 1
    assert waiting(storage_url) == 3


def test_an_operation_is_aborted_and_stays_so(storage_url: str) -> None:
    fill(storage_url, 3)
    [done] = told("jobs", "cancel", "--queue", MAIL, "--yes", "--url", storage_url)
    succeed("operations", "abort", str(done["id"]), "--url", storage_url)
    [shown] = told("operations", "show", str(done["id"]), "--url", storage_url)
    assert shown["state"] == "done"
    assert call("operations", "show", "op_nothing", "--url", storage_url).exit_code == 4


def test_a_job_is_rerun_and_edited(storage_url: str) -> None:
    put(storage_url, NewJob(queue=MAIL, name="x", data='{"to": {"name": "ann"}, "token": "s3cret"}'))
    words = ("jobs", "rerun", "1", "--set", "to.name=bob", "--set", "copies:=[1,2]", "--url", storage_url)
    [made] = told(*words)
    assert made["rerun_of"] == f"{MAIL}/1"

    async def payload(storage: Storage) -> str:
        [job] = await storage.get(MAIL, [str(made["id"])])
        assert job is not None
        return job.data

    # What is hidden on a screen is not lost on the way.
    assert json.loads(with_store(storage_url, payload)) == {
        "to": {"name": "bob"}, "token": "s3cret", "copies": [1, 2]
    }  # fmt: skip
    [edited] = told("jobs", "edit", str(made["id"]), "--priority", "high", "--url", storage_url)
    assert edited["priority"] == 10
    assert call("jobs", "edit", str(made["id"]), "--url", storage_url).exit_code == 2
    assert call("jobs", "edit", str(made["id"]), "--set", "to.name.first=x", "--url", storage_url).exit_code == 2


def test_jobs_are_written_to_a_file_that_only_its_owner_reads(storage_url: str, folder: Path) -> None:
    fill(storage_url, 25)
    words = ("jobs", "export", "--queue", MAIL, "--include", "data", "--url", storage_url)
    file = folder / "jobs.ndjson"
    succeed(*words, "--file", str(file))
    assert sorted(json.loads(line)["data"]["n"] for line in file.read_text().splitlines()) == list(range(25))
    assert file.stat().st_mode & 0o077 == 0
    assert len(json.loads(succeed(*words, "--format", "json"))) == 25
    assert len(succeed(*words, "--format", "csv").splitlines()) == 26


def test_a_queue_is_limited_and_obliterated(storage_url: str) -> None:
    fill(storage_url, 3)
    [now] = told("queues", "limit", MAIL, "--concurrency", "2", "--rate", "10/1m", "--url", storage_url)
    assert (now["concurrency"], now["rate_limit"]) == (2, "10 / 60 s")
    [none] = told("queues", "limit", MAIL, "--concurrency", "none", "--rate", "none", "--url", storage_url)
    assert (none["concurrency"], none["rate_limit"]) == (None, None)
    assert call("queues", "limit", MAIL, "--rate", "often", "--url", storage_url).exit_code == 2
    assert call("queues", "obliterate", MAIL, "--url", storage_url).exit_code == 2  # nobody is there to say yes
    [gone] = told("queues", "obliterate", MAIL, "--yes", "--url", storage_url)
    assert gone["removed"] == 3
    assert told("queues", "list", "--url", storage_url) == []


def test_a_queue_is_paused_for_a_while(storage_url: str) -> None:
    fill(storage_url, 1)
    succeed("queues", "pause", "--match", "send-*", "--for", "1h", "--reason", "night", "--url", storage_url)
    [row] = told("queues", "list", "--url", storage_url)
    assert (row["state"], row["paused_reason"]) == ("paused", "night")
    succeed("queues", "resume", MAIL, "--url", storage_url)
    assert call("queues", "pause", "--match", "no*", "--url", storage_url).exit_code == 4


def test_what_is_done_is_in_the_audit_log(storage_url: str) -> None:
    fill(storage_url, 1)
    succeed("queues", "pause", MAIL, "--reason", "night", "--url", storage_url)
    entries = told("audit", "--queue", MAIL, "--since", "1h", "--url", storage_url)
    assert [(entry["action"], entry["reason"], entry["outcome"]) for entry in entries] == [
        ("queue.pause", "night", "ok")
    ]


def test_workers_obey_and_answer(storage_url: str, folder: Path) -> None:
    with Command("worker", "tests.cli.apps.mailer", "--url", storage_url, "--name", "w1", cwd=folder) as worker:
        worker.line("Queue Worker is now running")
        assert "w1" in [row["name"] for row in told("workers", "list", "--url", storage_url)]
        assert "w1: takes no more jobs" in call("workers", "quiet", "w1", "--url", storage_url).stderr
        assert "w1: " in call("workers", "resume", "w1", "--url", storage_url).stderr
        assert "Thread" in succeed("workers", "dump", "w1", "--url", storage_url)
        assert call("workers", "stop", "w1", "--yes", "--url", storage_url).exit_code == 0
        assert worker.end() == 0
    assert call("workers", "quiet", "nobody", "--url", storage_url).exit_code == 4


def test_an_export_to_a_file_shows_how_far_it_is(
    storage_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(storage_url, 250)
    seen: list[tuple[str, int, int | None]] = []

    class Seen:
        def show(self, queue: str, done: int, total: int | None) -> None:
            seen.append((queue, done, total))

    monkeypatch.setattr("corral.cli.export.bar", lambda printer, stack: Seen())
    succeed("jobs", "export", "--url", storage_url)
    assert seen == []  # the jobs themselves are on the screen
    result = call("jobs", "export", "--file", "all.ndjson", "--url", storage_url)
    assert seen == [("export", 100, None), ("export", 200, None)]
    assert result.stderr == "250 jobs written to all.ndjson\n"
    assert len((folder / "all.ndjson").read_text().splitlines()) == 250


def test_an_export_is_in_the_audit_log(storage_url: str) -> None:
    put(storage_url, NewJob(queue=MAIL, name="x", data="{}"))
    assert call("jobs", "export", "--queue", MAIL, "--url", storage_url).exit_code == 0
    [entry] = told("audit", "--action", "job.export", "--url", storage_url)
    assert f'queue:"{MAIL}"' in str(entry["query"])


def test_a_search_in_the_background_is_printed_and_kept(storage_url: str) -> None:
    fill(storage_url, 1_200)
    result = call("jobs", "list", "-q", "data.n:<700", "--queue", MAIL, "--background", "-o", "ndjson",
                  "--url", storage_url)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "found 700 jobs" in result.stderr
    assert len(result.stdout.splitlines()) == 700
    [operation] = told("operations", "list", "--url", storage_url)
    assert (operation["action"], operation["examined"], operation["capped"]) == ("search", 1_200, False)
    succeed("jobs", "cancel", "-q", "data.n:3", "--queue", MAIL, "--yes", "--url", storage_url)
    later = told("operations", "results", str(operation["id"]), "--url", storage_url)
    assert len(later) == 700
    assert [row["state"] for row in later].count("failed") == 1  # as they are now
    [cancelled] = [row for row in told("operations", "list", "--url", storage_url) if row["action"] == "cancel"]
    assert call("operations", "results", str(cancelled["id"]), "--url", storage_url).exit_code == 4


def test_a_search_in_the_background_ends_at_its_limit_and_says_so(storage_url: str) -> None:
    fill(storage_url, 30)
    words = ("jobs", "list", "--queue", MAIL, "--background", "--url", storage_url)
    result = call(*words, "--limit", "7", "-o", "name")
    assert len(result.stdout.splitlines()) == 7
    assert "there may be more" in result.stderr
    assert call(*words, "--limit", "50000").exit_code == 2
    assert call(*words, "--watch").exit_code == 2


async def test_an_interrupted_search_says_where_its_finds_are(
    storage: Storage, storage_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await storage.add([NewJob(queue=MAIL, name="x")] * 3)
    back = Direct(storage, storage_url)
    begun = await back.search("state:waiting", 10)
    watching = asyncio.create_task(follow(Printer(Globals()), back, begun))
    await asyncio.wait([watching], timeout=0.0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert f"corral operations results {begun['id']}" in capsys.readouterr().err


class Unattended(Direct):
    """A store on whose operations nobody works."""

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        yield


async def test_an_interrupted_deletion_is_gone_on_with_later(
    storage: Storage, storage_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "FEW", 2)
    await storage.add([NewJob(queue=MAIL, name="x")] * 5)
    back = Unattended(storage, storage_url)

    begun = asyncio.Event()

    async def begin(background: bool) -> Row:
        row = await back.drain(MAIL, delayed=False, background=background)
        begun.set()
        return row

    draining = asyncio.create_task(operating.emptied(Printer(Globals()), back, 5, begin))
    await begun.wait()
    await asyncio.sleep(0)  # now it waits for the end
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    [operation] = await back.operations()
    assert f"corral operations wait {operation['id']}" in capsys.readouterr().err
    other = Direct(storage, storage_url)
    async with other.driving():
        await other.take_up(str(operation["id"]))
        await follow(Printer(Globals()), other, operation)
    assert "removed 5 jobs" in capsys.readouterr().err
    assert (await storage.counts([MAIL]))[0].waiting == 0


async def test_few_jobs_are_deleted_at_once_or_not_at_all(
    storage: Storage, storage_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def never(background: bool) -> Row:
        assert not background
        return dict(await asyncio.get_running_loop().create_future())

    draining = asyncio.create_task(operating.emptied(Printer(Globals()), Direct(storage, storage_url), 5, never))
    await asyncio.wait([draining], timeout=0.0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert "it is done, or nothing of it is" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "problem", "code"), [("aborted", "", 1), ("failed", "queue-has-active-jobs", 6)])
async def test_a_deletion_that_came_to_no_end_is_a_failure(
    storage: Storage, storage_url: str, state: str, problem: str, code: int
) -> None:
    async def begin(background: bool) -> Row:
        return {**through("drain", 2), "id": "op_1", "state": state, "problem": problem}

    with pytest.raises(Failure, match="op_1") as caught:
        await operating.emptied(Printer(Globals()), Direct(storage, storage_url), 5, begin)
    assert caught.value.exit_code == code
