"""The mails about a run's end: templates of the e-mail handlers, and the data that they show."""

import logging

from corral.errors import PayloadError
from corral.handlers.kit.mail import Mail, SendMail
from corral.handlers.pipelines.payload import Deploy, RunPipeline, RunTests
from corral.handlers.pipelines.records import DeploymentRun, PipelineRun, SuiteRun, duration
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.pipelines")

_STATUS = {"passed": "SUCCESS", "deployed": "SUCCESS", "rolled-back": "ROLLED_BACK", "failed": "FAILED"}
#: A mail tells some of what failed; all of it is in the job.
MAX_TOLD = 10


async def notify(ctx: JobContext, send: SendMail | None, key: str, mail: Mail) -> None:
    """Hand a mail in, once for each job. One that is refused undoes nothing of what was done: the log says so."""
    if not mail.to:
        return
    if send is None:
        logger.warning("job %s names people to notify, but nothing sends mail: give the bundle send=", ctx.id)
        await ctx.log("nobody is notified: nothing sends mail")
        return
    try:
        await send(f"{mail.template}-{key}", mail)
    except PayloadError as error:
        await ctx.log(f"nobody is notified: {error}")


def pipeline_mail(data: RunPipeline, run: PipelineRun) -> Mail:
    """How a pipeline ended."""
    status = _STATUS[run.status]
    shown: dict[str, object] = {
        "pipelineName": run.pipeline_name,
        "projectName": run.project_name,
        "status": status,
        "duration": duration(run.finished_at - run.started_at),
        "steps": [
            {"name": step.name, "status": step.status, "duration": duration(round(step.seconds * 1000))}
            for step in run.steps
        ],
    }
    shown |= _given(
        triggeredBy=run.triggered_by, pipelineUrl=data.pipeline_url, message=run.reason, commit=run.commit[:12]
    )  # fmt: skip
    subject = f"{run.pipeline_name}: {status.lower()}"
    return Mail(to=data.notify, subject=subject, template="pipeline-complete", data=shown)


def suite_mail(data: RunTests, run: SuiteRun) -> Mail:
    """How a test suite ended."""
    results = run.results
    shown: dict[str, object] = {
        "suiteName": run.suite_name,
        "projectName": run.project_name,
        "status": _STATUS[run.status],
        "passed": results.passed,
        "failed": results.bad,
        "skipped": results.skipped,
        "duration": duration(round(run.seconds * 1000)),
        "failures": [{"name": test.name, "message": test.message} for test in results.told[:MAX_TOLD]],
    }
    shown |= _given(triggeredBy=run.triggered_by, resultsUrl=data.suite_url, commit=run.commit[:12])
    subject = f"{run.suite_name}: {results.bad} of {results.tests} tests failed" if results.bad else (
        f"{run.suite_name}: {results.passed} tests passed"
    )  # fmt: skip
    return Mail(to=data.notify, subject=subject, template="test-results", data=shown)


def deployment_mail(data: Deploy, run: DeploymentRun) -> Mail:
    """How a deployment ended."""
    words = {"deployed": "deployed", "rolled-back": "rolled back", "failed": "failed"}
    shown: dict[str, object] = {
        "projectName": run.project_name,
        "environment": run.environment,
        "version": run.version,
        "status": _STATUS[run.status],
        "duration": duration(run.finished_at - run.started_at),
    }
    shown |= _given(
        deployedBy=run.triggered_by, message=run.reason, deploymentUrl=data.deployment_url, commit=run.commit[:12],
        rolledBackTo=run.previous_version if run.status == "rolled-back" else None,
    )  # fmt: skip
    subject = f"{run.project_name} {run.version} on {run.environment}: {words[run.status]}"
    return Mail(to=data.notify, subject=subject, template="deployment-notification", data=shown)


def _given(**values: str | None) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}
