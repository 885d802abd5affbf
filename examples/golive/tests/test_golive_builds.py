"""Pipelines, test suites and deployments as the platform has them: what they do is written down and mailed."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral import JobFailedError, JobHandle, JobState
from examples.golive.build import Platform
from examples.golive.payloads import ReportJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.tables import audit_events, deployments, pipeline_runs, test_runs

from .conftest import PATIENCE, fill, mails, text_of

JUNIT = '<testsuite><testcase name="a"/><testcase name="b"><failure message="no"/></testcase></testsuite>'


def step(name: str, code: str) -> dict[str, object]:
    return {"name": name, "run": ["python3", "-c", code], "timeoutSeconds": 60}


def pipeline(*steps: dict[str, object], **more: object) -> dict[str, object]:
    return {"pipelineId": "shop-main", "pipelineName": "Shop main", "projectName": "Shop", "projectId": "shop",
            "steps": list(steps), "triggeredBy": "John Doe", **more}  # fmt: skip


async def add(platform: Platform, queue: QueueName, name: str, data: Mapping[str, object]) -> JobHandle[object]:
    handle: JobHandle[object] = await platform.app.definition(queue, name).add(data)
    return handle


async def rows(platform: Platform, table: sa.Table) -> list[dict[str, object]]:
    async with platform.golive.database.connect() as connection:
        return [dict(row._mapping) for row in await connection.execute(sa.select(table))]


@pytest.mark.mission("M-GL-03", "M-GL-13", "M-GL-18")
async def test_a_pipeline_is_written_down_audited_and_mailed(running: Platform, tmp_path: Path) -> None:
    payload = pipeline(step("build", "print('ok')"), step("test", "print('ok')"), notify=["user@example.com"],
                       pipelineUrl="https://app.golive.dev/pipelines/123")  # fmt: skip

    handle = await add(running, QueueName.PIPELINE, "run-pipeline", payload)
    await handle.result(timeout=PATIENCE)

    [row] = await rows(running, pipeline_runs)
    assert (row["pipeline_id"], row["status"], row["triggered_by"]) == ("shop-main", "success", "John Doe")
    [event] = await rows(running, audit_events)
    assert (event["actor"], event["action"], event["outcome"]) == ("John Doe", "pipeline.run", "passed")
    email = await running.app.open_queue(QueueName.EMAIL)
    [mail_job] = (await email.page(*tuple(JobState), limit=10)).items
    await email.result(mail_job.id, timeout=PATIENCE)
    assert mail_job.name == "pipeline-complete"
    [mail] = mails(tmp_path)
    assert (mail["To"], mail["Subject"]) == ("user@example.com", "Shop main: success")
    assert "https://app.golive.dev/pipelines/123" in text_of(mail)


async def test_the_steps_of_a_pipeline_have_its_priority(running: Platform) -> None:
    handle = await add(running, QueueName.PIPELINE, "run-pipeline", pipeline(step("build", "")))
    await handle.result(timeout=PATIENCE)

    jobs = [await handle.queue.get(id) for id in (handle.id, f"{handle.id}.1")]
    assert [job.priority for job in jobs] == [JobPriority.HIGH] * 2


async def test_a_pipeline_that_fails_is_in_the_next_report(running: Platform) -> None:
    handle = await add(running, QueueName.PIPELINE, "run-pipeline", pipeline(step("build", "raise SystemExit(2)")))
    with pytest.raises(JobFailedError, match="step 'build': "):
        await handle.result(timeout=PATIENCE)

    [row] = await rows(running, pipeline_runs)
    assert (row["status"], row["failed_step"]) == ("failed", "build")
    report = await running.service.add_report_job(
        ReportJobType.PIPELINE_REPORT, {"pipelineId": "shop-main", "formats": ["html"]}
    )
    await report.result(timeout=PATIENCE)


@pytest.mark.mission("M-GL-04")
async def test_a_test_suite_is_written_down(running: Platform) -> None:
    payload = {
        "suiteName": "unit", "projectName": "Shop", "projectId": "shop",
        "run": ["python3", "-c", f"open('junit.xml', 'w').write({JUNIT!r})"],
    }  # fmt: skip

    await (await add(running, QueueName.TEST, "run-tests", payload)).result(timeout=PATIENCE)

    [row] = await rows(running, test_runs)
    assert (row["project"], row["tests"], row["failed"], row["status"]) == ("shop", 2, 1, "failed")


@pytest.mark.mission("M-GL-05")
@pytest.mark.parametrize(("check", "status"), [("", "deployed"), ("raise SystemExit(1)", "failed")])
async def test_a_deployment_is_written_down(running: Platform, check: str, status: str) -> None:
    payload = {
        "deploymentId": "d-1", "projectName": "Shop", "projectId": "shop", "environment": "production",
        "version": "2.0", "run": ["python3", "-c", ""],
        "healthCheck": {"run": ["python3", "-c", check], "attempts": 1, "timeoutSeconds": 60},
    }  # fmt: skip

    handle = await add(running, QueueName.DEPLOYMENT, "deploy", payload)
    try:
        await handle.result(timeout=PATIENCE)
    except JobFailedError:
        pass

    [row] = await rows(running, deployments)
    assert (row["environment"], row["version"], row["status"]) == ("production", "2.0", status)


@pytest.mark.mission("M-GL-06")
async def test_a_notification_reaches_the_inbox_and_the_mailbox(running: Platform, tmp_path: Path) -> None:
    await fill(running, days=1)
    payload = {"organizationId": "golive", "recipientIds": ["user-2", "nobody"], "title": "Your build is through"}

    result = await (await add(running, QueueName.NOTIFICATION, "send-notification", payload)).result(timeout=PATIENCE)

    assert isinstance(result, dict)
    assert (result["told"], result["unknown"], result["inbox"]) == (["user-2"], ["nobody"], 1)
    email = await running.app.open_queue(QueueName.EMAIL)
    [mail_job] = (await email.page(*tuple(JobState), limit=10)).items
    await email.result(mail_job.id, timeout=PATIENCE)
    [mail] = mails(tmp_path)
    assert "user-2@example.com" in mail["To"]


async def test_what_no_pipeline_may_run_is_refused_when_it_is_added(idle: Platform) -> None:
    payload = pipeline({"name": "evil", "run": ["sh", "-c", "touch canary"]})

    with pytest.raises(ValueError, match="program 'sh' is not allowed"):
        await add(idle, QueueName.PIPELINE, "run-pipeline", payload)
