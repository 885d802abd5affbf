"""Pipelines in an application: a job of each step, in the order that was asked for, on a real worker."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from corral.app.app import Corral
from corral.errors import JobFailedError, PayloadError
from corral.handlers.email import preview
from corral.handlers.kit.mail import Mail
from corral.handlers.pipelines import PipelineRun, PipelineSettings, Tools, bundle
from corral.queue import JobHandle, Queue
from corral.worker.worker import WorkerOptions

PATIENCE = 100.0
BUILD = {"pipelineId": "p-1", "pipelineName": "Build", "projectName": "Shop"}
WRITE = "open('{0}', 'w').write('{1}'); print('wrote {0}')"


def step(name: str, code: str = "", **more: object) -> dict[str, object]:
    """A step that runs Python code."""
    return {"name": name, "run": ["runner", code], **more}


@dataclass
class Yard:
    """An application that runs pipelines, with a worker."""

    app: Corral
    folder: Path
    ended: list[tuple[str, PipelineRun]] = field(default_factory=list)
    mails: list[tuple[str, Mail]] = field(default_factory=list)

    async def queue(self) -> Queue:
        return await self.app.open_queue("pipeline")

    async def add(self, *steps: Mapping[str, object], **more: object) -> JobHandle[PipelineRun]:
        payload = {**BUILD, "steps": list(steps), **more}
        handle: JobHandle[PipelineRun] = await self.app.definition("pipeline", "run-pipeline").add(payload)
        return handle

    async def run(self, *steps: Mapping[str, object], **more: object) -> PipelineRun:
        """Run a pipeline to its end, good or bad; answers what the application was told of it."""
        handle = await self.add(*steps, **more)
        try:
            await handle.result(timeout=PATIENCE)
        except JobFailedError:
            pass
        return next(run for job_id, run in reversed(self.ended) if job_id == handle.id)

    async def log(self, number: int, parent: str = "1") -> str:
        return "\n".join((await (await self.queue()).logs(f"{parent}.{number}")).items)


@pytest.fixture
async def yard(settings: PipelineSettings, tmp_path: Path) -> AsyncIterator[Yard]:
    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    made = Yard(app, tmp_path)

    async def ended(job_id: str, run: PipelineRun) -> None:
        made.ended.append((job_id, run))

    async def send(id: str, mail: Mail) -> None:
        made.mails.append((id, mail))

    tools = Tools(secrets={"DEPLOY_TOKEN": SecretStr("hunter2hunter2")})
    app.include(bundle(settings, tools=tools, ended=ended, send=send), concurrency=4)
    async with app, await app.worker():
        yield made


def statuses(run: PipelineRun) -> dict[str, str]:
    return {step.name: step.status for step in run.steps}


async def test_steps_run_one_after_the_other_in_one_workspace(yard: Yard) -> None:
    run = await yard.run(
        step("write", WRITE.format("a.txt", "hello")), step("read", "print(open('a.txt').read().upper())")
    )

    assert (run.status, statuses(run)) == ("passed", {"write": "passed", "read": "passed"})
    assert "HELLO" in await yard.log(2)
    assert (run.pipeline_id, run.pipeline_name, run.project_name) == ("p-1", "Build", "Shop")
    assert run.finished_at >= run.started_at


async def test_the_result_is_what_the_application_was_told(yard: Yard) -> None:
    handle = await yard.add(step("write"))

    result = await handle.result(timeout=PATIENCE)

    assert result == json.loads(json.dumps(result))
    assert [(job_id, run.key) for job_id, run in yard.ended] == [(handle.id, result["key"])]  # type: ignore[index]


async def test_steps_that_need_nothing_of_each_other_run_side_by_side(yard: Yard) -> None:
    # Each waits until the other has begun: one after the other, neither would end.
    wait = (
        "import pathlib, time\npathlib.Path('{0}').touch()\nend = time.monotonic() + 90\n"
        "while not pathlib.Path('{1}').exists(): assert time.monotonic() < end; time.sleep(0.02)"
    )
    run = await yard.run(
        step("left", wait.format("left", "right"), needs=[]),
        step("right", wait.format("right", "left"), needs=[]),
        step("after", needs=["left", "right"]),
    )

    assert run.status == "passed"


async def test_after_a_step_that_fails_the_next_is_skipped_and_the_pipeline_fails(yard: Yard) -> None:
    handle = await yard.add(step("build", "raise SystemExit(3)"), step("test"), step("ship"))

    with pytest.raises(JobFailedError, match="pipeline 'Build' failed: step 'build': runner exited with status 3"):
        await handle.result(timeout=PATIENCE)

    [(_, run)] = yard.ended
    assert statuses(run) == {"build": "failed", "test": "skipped", "ship": "skipped"}
    assert run.steps[0].exit_code == 3
    assert run.steps[1].reason == "build did not pass"


async def test_what_does_not_need_the_failed_step_runs_to_its_end(yard: Yard) -> None:
    run = await yard.run(step("build", "raise SystemExit(1)"), step("lint", needs=[]), step("docs", needs=["lint"]))

    assert statuses(run) == {"build": "failed", "lint": "passed", "docs": "passed"}
    assert run.status == "failed"


async def test_a_step_that_always_runs_cleans_up_after_a_failure(yard: Yard) -> None:
    run = await yard.run(step("build", "raise SystemExit(1)"), step("clean", always=True))

    assert statuses(run) == {"build": "failed", "clean": "passed"}


async def test_a_step_that_may_fail_fails_nothing_else(yard: Yard) -> None:
    run = await yard.run(step("lint", "raise SystemExit(1)", allowFailure=True), step("build"))

    assert (run.status, statuses(run)) == ("passed", {"lint": "failed", "build": "passed"})


async def test_a_failing_command_is_not_tried_again_unless_it_is_asked_for(yard: Yard) -> None:
    count = "with open('count', 'a') as file: file.write('x')\nassert len(open('count').read()) >= 2"

    once = await yard.run(step("build", count))
    twice = await yard.run(step("build", count, retries=1))

    assert (once.status, once.steps[0].attempts) == ("failed", 1)
    assert (twice.status, twice.steps[0].attempts) == ("passed", 2)


async def test_a_step_has_its_own_time(yard: Yard) -> None:
    run = await yard.run({"name": "wait", "run": ["sleep", "600"], "timeoutSeconds": 1})

    assert run.reason == "step 'wait': sleep ran longer than 1 s"


async def test_variables_the_environment_and_the_jobs_own_values_are_filled_in(yard: Yard) -> None:
    run = await yard.run(
        {"name": "tell", "run": ["teller", "${branch}", "${pipelineId}/${step}"], "env": {"MODE": "${branch}"}},
        variables={"branch": "main; rm -rf /"},
        env={"APP_NAME": "shop"},
    )

    assert run.status == "passed"
    told = json.loads(next(line for line in (await yard.log(1)).splitlines() if line.startswith("{")))
    assert told["arguments"] == ["main; rm -rf /", "p-1/tell"]
    assert (told["environment"]["MODE"], told["environment"]["APP_NAME"]) == ("main; rm -rf /", "shop")
    assert told["environment"]["CI"] == "true"


async def test_secrets_reach_the_command_and_no_log_file_or_result(yard: Yard) -> None:
    code = (
        "import os, sys; t = os.environ['DEPLOY_TOKEN']; print(len(t), t); open('out.txt', 'w').write(t); sys.exit(t)"
    )

    run = await yard.run(step("deploy", code))

    assert "14 ***" in await yard.log(1)
    kept = yard.folder / "pipelines" / "artifacts" / run.key
    assert [path.name for path in kept.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []
    assert "hunter2" not in str(run)


async def test_artifacts_and_test_results_of_a_step_are_kept(yard: Yard) -> None:
    junit = '<testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>'
    code = (
        f"import os; os.mkdir('out'); open('out/junit.xml', 'w').write('{junit}'); open('out/app.bin', 'w').write('x')"
    )

    run = await yard.run(step("test", code, results=["out/*.xml"], artifacts=["out/**"]))

    [test] = run.steps
    assert test.tests is not None
    assert (test.tests.tests, test.tests.passed, test.tests.skipped) == (2, 1, 1)
    assert [file.name for file in test.artifacts] == ["out/app.bin", "out/junit.xml"]
    kept = yard.folder / "pipelines" / "artifacts" / run.key
    assert (kept / "test" / "out" / "app.bin").read_text() == "x"
    assert (kept / "test.log").exists()


async def test_failed_tests_fail_a_step_even_when_its_command_does_not_say_so(yard: Yard) -> None:
    junit = '<testsuite><testcase name="a"><failure message="no"/></testcase></testsuite>'

    run = await yard.run(step("test", f"open('r.xml', 'w').write('{junit}')", results=["r.xml"]))

    assert run.reason == "step 'test': 1 of 1 tests failed"
    assert run.steps[0].tests is not None


async def test_a_step_without_the_results_it_promised_fails(yard: Yard) -> None:
    run = await yard.run(step("test", results=["r.xml"]))

    assert run.reason == "step 'test': no test results match r.xml"


async def test_a_workspace_goes_when_all_went_well_and_stays_when_not(yard: Yard) -> None:
    good = await yard.run(step("build"))
    bad = await yard.run(step("build", "raise SystemExit(1)"))

    workspaces = yard.folder / "pipelines" / "workspaces"
    assert not (workspaces / good.key).exists()
    assert (workspaces / bad.key).exists()


async def test_a_retried_flow_runs_what_failed_again_and_nothing_else(yard: Yard) -> None:
    handle = await yard.add(
        step("once", "with open('once', 'a') as file: file.write('x')"),
        step(
            "flaky",
            "import pathlib; first = not pathlib.Path('f').exists(); pathlib.Path('f').touch(); assert not first",
        ),
        step("count", "assert open('once').read() == 'x'"),
    )
    with pytest.raises(JobFailedError):
        await handle.result(timeout=PATIENCE)

    await yard.app.flow.retry("pipeline", handle.id)
    await handle.result(timeout=PATIENCE)

    assert [run.status for _, run in yard.ended] == ["failed", "passed"]
    assert statuses(yard.ended[1][1]) == {"once": "passed", "flaky": "passed", "count": "passed"}


async def test_cancelling_a_running_step_ends_its_command(yard: Yard) -> None:
    handle = await yard.add(step("wait", "import time; open('begun', 'w').close(); time.sleep(600)"))
    queue = await yard.queue()
    begun = [(yard.folder / "pipelines" / "workspaces")]
    async with asyncio.timeout(PATIENCE):
        while not [*begun[0].glob("*/work/begun")]:  # noqa: ASYNC110  # a command sets no event of ours
            await asyncio.sleep(0.02)

    await queue.cancel(f"{handle.id}.1", reason="no need")
    with pytest.raises(JobFailedError, match="cancelled: no need"):
        await handle.result(timeout=PATIENCE)


async def test_a_worker_that_stops_hands_a_step_back_and_the_next_one_runs_it(yard: Yard, tmp_path: Path) -> None:
    app = Corral(f"sqlite:///{tmp_path / 'other.db'}")
    settings = PipelineSettings(
        pipeline_folder=tmp_path / "other", pipeline_path=f"{tmp_path / 'programs'}", pipeline_programs=("runner",)
    )
    app.include(bundle(settings))
    count = (
        "with open('runs', 'a') as file: file.write('x')\nimport time\nif open('runs').read() == 'x': time.sleep(600)"
    )
    async with app:
        handle = await app.definition("pipeline", "run-pipeline").add({**BUILD, "steps": [step("wait", count)]})
        async with await app.worker(options=WorkerOptions(shutdown_timeout=0)):
            async with asyncio.timeout(PATIENCE):
                while not [*(tmp_path / "other").glob("workspaces/*/work/runs")]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        async with await app.worker():
            result = await handle.result(timeout=PATIENCE)

    assert result["steps"][0]["attempts"] == 1  # being stopped costs none


async def test_whom_a_payload_names_gets_a_mail(yard: Yard) -> None:
    run = await yard.run(
        step("build"), notify=["ann@example.org"], triggeredBy="Ann", pipelineUrl="https://golive.example/p/1"
    )

    [(id, mail)] = yard.mails
    preview(mail.template, mail.data)  # a variable that lacks would fail the mail's job
    assert run.key in id
    assert (mail.to, mail.template) == (("ann@example.org",), "pipeline-complete")
    assert {key: mail.data[key] for key in ("pipelineName", "projectName", "status", "triggeredBy", "pipelineUrl")} == {
        "pipelineName": "Build",
        "projectName": "Shop",
        "status": "SUCCESS",
        "triggeredBy": "Ann",
        "pipelineUrl": "https://golive.example/p/1",
    }
    assert str(mail.data["duration"]).endswith("s")


async def test_a_mail_that_cannot_be_sent_undoes_nothing(settings: PipelineSettings, tmp_path: Path) -> None:
    async def refuse(id: str, mail: Mail) -> None:
        raise PayloadError("'nobody' is not an address")

    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    app.include(bundle(settings, send=refuse))
    async with app, await app.worker():
        payload = {**BUILD, "steps": [step("build")], "notify": ["nobody"]}
        handle = await app.definition("pipeline", "run-pipeline").add(payload)
        result = await handle.result(timeout=PATIENCE)
        log = (await handle.logs()).items

    assert result["status"] == "passed"
    assert log[-1] == "nobody is notified: 'nobody' is not an address"


async def test_people_to_notify_without_a_way_to_send_mail_are_named_in_the_log(
    settings: PipelineSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    app.include(bundle(settings))
    async with app, await app.worker():
        payload = {**BUILD, "steps": [step("build")], "notify": ["ann@example.org"]}
        handle = await app.definition("pipeline", "run-pipeline").add(payload)
        assert (await handle.result(timeout=PATIENCE))["status"] == "passed"
        assert (await handle.logs()).items[-1] == "nobody is notified: nothing sends mail"
    assert "names people to notify, but nothing sends mail: give the bundle send=" in caplog.text


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": []}, "at least 1 item"),
        ({"steps": [step("a"), step("a")]}, "there are two steps 'a'"),
        ({"steps": [step("a", needs=["b"]), step("b")]}, "needs 'b', which is no step before it"),
        ({"steps": [step("a", needs=["a"])]}, "needs 'a', which is no step before it"),
        ({"steps": [{"name": "a", "run": ["runner", "${who}"]}]}, "variable 'who' is used and not given"),
        ({"steps": [step("a")], "variables": {"commit": "x"}}, "variable 'commit' is given by the job itself"),
        ({"steps": [step("a", timeoutSeconds=7_200)]}, "timeout_seconds may be 3600 at most"),
        ({"steps": [{"name": "a", "run": ["make"]}]}, "step 'a': program 'make' is not allowed"),
        ({"steps": [step("a", env={"OTHER": "x"})]}, "environment variable 'OTHER' is not allowed"),
        (
            {"steps": [{"name": "a", "run": ["teller", "${who}"]}], "variables": {"who": "-rf"}},
            "step 'a': ${who} begins with '-' and would be an option: put '--' before it",
        ),
        ({"steps": [step("a")], "repository": {"url": "https://evil.example/x"}}, "host 'evil.example' is not allowed"),
        ({"steps": [step("a")], "repository": {}}, "a repository has a url or a name"),
        ({"steps": [step("a")], "surprise": 1}, "surprise"),
    ],
)
async def test_what_cannot_be_run_is_refused_when_it_is_added(
    yard: Yard, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        await yard.app.definition("pipeline", "run-pipeline").add({**BUILD, **changes})

    assert complaint in str(caught.value)


async def test_a_step_whose_pipeline_is_gone_says_so(yard: Yard) -> None:
    payload = {"pipelineId": "p-9", "runKey": "f" * 32, "step": step("a")}
    handle = await yard.app.definition("pipeline", "run-step").add(payload)

    with pytest.raises(JobFailedError, match="the workspace of pipeline 'p-9' is gone"):
        await handle.result(timeout=PATIENCE)


async def test_fifty_steps_are_a_pipeline_too(yard: Yard) -> None:
    run = await yard.run(*({"name": f"s{number}", "run": ["true"], "needs": []} for number in range(50)))

    assert len(run.steps) == 50
    assert run.status == "passed"


def test_logging_is_quiet_about_payloads() -> None:
    assert logging.getLogger("corral.handlers.pipelines").handlers == []
