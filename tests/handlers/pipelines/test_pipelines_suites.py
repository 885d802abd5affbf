"""Test suites in an application: a command, and what its results say."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.errors import JobFailedError
from corral.handlers.email import preview
from corral.handlers.kit.mail import Mail
from corral.handlers.pipelines import PipelineSettings, SuiteRun, suite_bundle
from corral.job import Job

PATIENCE = 100.0
GOOD = '<testsuite><testcase name="a" classname="t" time="0.5"/><testcase name="b" classname="t"/></testsuite>'
BAD = (
    '<testsuite><testcase name="a" classname="t"><failure message="1 != 2"/></testcase><testcase name="b"/></testsuite>'
)


@dataclass
class Yard:
    """An application that runs suites, with a worker."""

    app: Corral
    folder: Path
    ended: list[tuple[str, SuiteRun]] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)

    async def run(self, code: str, **more: object) -> Mapping[str, object]:
        """Run a suite to its end; answers its result."""
        payload = {"suiteName": "unit", "projectName": "Shop", "run": ["runner", code], **more}
        handle = await self.app.definition("test", "run-tests").add(payload)
        self.last = handle.id
        result: Mapping[str, object] = await handle.result(timeout=PATIENCE)
        return result

    async def job(self) -> Job:
        return await (await self.app.open_queue("test")).get(self.last)


@pytest.fixture
async def yard(settings: PipelineSettings, tmp_path: Path) -> AsyncIterator[Yard]:
    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    made = Yard(app, tmp_path)

    async def ended(job_id: str, run: SuiteRun) -> None:
        made.ended.append((job_id, run))

    async def send(id: str, mail: Mail) -> None:
        made.mails.append(mail)

    app.include(suite_bundle(settings, ended=ended, send=send), concurrency=2)
    async with app, await app.worker():
        yield made


def leave(text: str, status: int = 0, name: str = "junit.xml") -> str:
    """Code that leaves results behind."""
    return f"import sys; open({name!r}, 'w').write({text!r}); sys.exit({status})"


async def test_the_tests_of_a_suite_are_counted(yard: Yard) -> None:
    result = await yard.run(leave(GOOD), projectId="shop-1")

    assert (result["status"], result["exitCode"], result["projectId"]) == ("passed", 0, "shop-1")
    assert result["results"] == {"tests": 2, "failed": 0, "errors": 0, "skipped": 0, "seconds": 0.5, "told": []}
    [(_, run)] = yard.ended
    assert run.results.passed == 2


async def test_a_suite_with_failures_completes_and_says_which(yard: Yard) -> None:
    result = await yard.run(leave(BAD, status=1))

    assert (result["status"], result["exitCode"]) == ("failed", 1)
    assert yard.ended[0][1].results.told[0].name == "t.a"


async def test_a_suite_with_failures_fails_its_job_when_that_is_asked_for(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match=r"1 of 2 tests failed: t\.a"):
        await yard.run(leave(BAD, status=1), failJob=True)

    assert [run.status for _, run in yard.ended] == ["failed"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(4)", "was not run to its end: runner exited with status 4"),
        (leave(GOOD, status=2), "was not run to its end: runner exited with status 2"),
        ("", r"left no test results that match \*\*/junit\*\.xml"),
        (leave("<testsuite><testcase"), "cannot be read: unclosed token"),
        (leave('<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>'), "document type"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
    ],
)
async def test_without_results_that_can_be_trusted_there_is_no_verdict(yard: Yard, code: str, reason: str) -> None:
    with pytest.raises(JobFailedError, match=reason):
        await yard.run(code)

    assert yard.ended == []
    assert (await yard.job()).attempts_made == 1


async def test_a_suite_has_its_own_time(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match="suite 'unit' was not run to its end: runner ran longer than 1 s"):
        await yard.run("import time; time.sleep(600)", timeoutSeconds=1)


async def test_results_of_several_files_are_added_and_kept(yard: Yard) -> None:
    code = (
        f"import os; os.mkdir('r'); open('r/TEST-a.xml', 'w').write({GOOD!r}); open('r/TEST-b.xml', 'w').write({BAD!r})"
    )

    result = await yard.run(code, artifacts=["r/TEST-a.xml"])

    assert yard.ended[0][1].results.tests == 4
    kept = yard.folder / "pipelines" / "artifacts" / str(result["key"]) / "tests" / "r"
    assert sorted(path.name for path in kept.iterdir()) == ["TEST-a.xml", "TEST-b.xml"]


async def test_a_suite_runs_in_the_folder_that_it_names(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match="folder 'backend' is not in the workspace"):
        await yard.run(leave(GOOD), folder="backend")


async def test_every_suite_begins_in_an_empty_workspace(yard: Yard) -> None:
    code = f"import os; assert os.listdir('.') == []; {leave(GOOD)}"

    assert (await yard.run(code))["status"] == "passed"
    assert (await yard.run(code))["status"] == "passed"
    assert list((yard.folder / "pipelines" / "workspaces").iterdir()) == []


async def test_a_retry_by_a_person_runs_the_tests_again(yard: Yard, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import os, sys; flag = {str(flag)!r}; text = {GOOD!r} if os.path.exists(flag) else {BAD!r}\n"
    code += "open('junit.xml', 'w').write(text); open(flag, 'w').close()"
    with pytest.raises(JobFailedError):
        await yard.run(code, failJob=True)
    queue = await yard.app.open_queue("test")

    await queue.retry(yard.last)
    result = await queue.result(yard.last, timeout=PATIENCE)

    assert [run.status for _, run in yard.ended] == ["failed", "passed"]
    assert isinstance(result, dict)
    assert result["status"] == "passed"


async def test_whom_a_payload_names_gets_a_mail(yard: Yard) -> None:
    await yard.run(leave(BAD, status=1), notify=["ann@example.org"])

    [mail] = yard.mails
    preview(mail.template, mail.data)  # a variable that lacks would fail the mail's job
    assert (mail.subject, mail.template) == ("unit: 1 of 2 tests failed", "test-results")
    assert {key: mail.data[key] for key in ("suiteName", "passed", "failed", "skipped", "failures")} == {
        "suiteName": "unit",
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "failures": [{"name": "t.a", "message": "1 != 2"}],
    }


async def test_the_command_and_what_it_printed_are_in_the_jobs_log(yard: Yard) -> None:
    await yard.run("print('collected 2 items')\n" + leave(GOOD))

    log = "\n".join((await (await yard.app.open_queue("test")).logs(yard.last)).items)
    assert "$ runner" in log
    assert "collected 2 items" in log
    assert "ended well" in log
