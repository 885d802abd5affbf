"""GoLive's demo: mails, reports, pipelines that pass and fail, tests, a deployment that is taken back, and upkeep.

`python -m examples.demo golive`; the stage it plays on is every platform's.
"""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import jwt
from fastapi import FastAPI
from pydantic import SecretStr

from corral import Corral, CorralError, Cron, JobHandle
from corral.handlers.email import EmailSettings
from corral.handlers.pipelines import PipelineSettings, Tools
from examples.demo.stage import Stage
from examples.demo.transport import BUSY, GONE, note_attempt, unreliable_mail

from .api import make_api
from .build import Platform, make_platform
from .payloads import CleanupJobType, EmailJobType, ReportJobType
from .queues import JobPriority, QueueName
from .seed import seed
from .service import JobService
from .settings import Settings

#: What the pipelines of the demo may run. A real one says so in PIPELINE_PROGRAMS.
PYTHON = "python3"
JUNIT = '<testsuite><testcase classname="shop" name="adds"/><testcase classname="shop" name="pays"/></testsuite>'


def prepare(folder: Path) -> None:
    """The samples are of the last days: begin with fresh ones."""
    for name in ("golive.db", "golive.db-wal", "golive.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "inputs", ignore_errors=True)


async def build(stage: Stage) -> Corral:
    """The platform, with mails that stay on this machine whatever the environment says."""
    platform = _platform(stage)
    platform.make_home()
    async with platform.golive.database:
        size = await seed(platform.golive, platform.home, days=30)
    stage.note(f"the database has {size.runs} pipeline runs and {size.events} audit events of the last month")
    platform.app.middleware(note_attempt)
    return platform.app


def api(app: Corral, stage: Stage) -> FastAPI:
    """The platform's API, for the tokens of this run."""
    return make_api(app, Settings(url=stage.url, jwt_secret=SecretStr(stage.secret)))


def _platform(stage: Stage) -> Platform:
    return make_platform(
        Settings(url=stage.url, golive_home=stage.folder),
        email=EmailSettings(email_transport="dry-run", email_from="GoLive <noreply@golive.example>"),
        transport=unreliable_mail(stage.mails),
        pipeline_settings=PipelineSettings(pipeline_folder=stage.folder / "pipelines"),
        tools=Tools(programs={PYTHON: sys.executable}),
    )


async def life(app: Corral, stage: Stage) -> None:
    """A day at the platform."""
    service = JobService(app)
    await add_mails(service, stage)
    await add_builds(app, stage)
    await add_reports(service, stage)
    await add_upkeep(service, stage)
    if stage.site is not None:
        claims = {"sub": "ann", "role": "ADMIN", "exp": datetime.now(UTC).timestamp() + 3_600}
        token = jwt.encode(claims, stage.secret, algorithm="HS256")
        stage.note(f"how it stands: curl -H 'Authorization: Bearer {token}' {stage.site}/api/v1/jobs/queues")


async def add_mails(service: JobService, stage: Stage) -> None:
    """Add the mails: what goes well, what does not, and the burst."""
    note, dashboard = stage.note, "https://app.golive.example/dashboard"
    welcome = {"to": "user@example.com", "context": {"username": "John Doe", "dashboardUrl": dashboard}}
    await service.add_email_job(EmailJobType.WELCOME, welcome, JobPriority.NORMAL)
    await service.manager.add_delayed_job(QueueName.EMAIL, EmailJobType.WELCOME, welcome, 2_000)
    note("added a welcome mail, and another one for 2 s from now")
    await service.add_email_job(EmailJobType.WELCOME, {**welcome, "to": BUSY})
    note("added one to a mailbox that will be busy twice: it is tried again after 2 s, then after 4 s")
    stage.fails(await service.add_email_job(EmailJobType.WELCOME, {**welcome, "to": GONE}))
    note("added one to a mailbox that is gone: trying again cannot help, so it fails at once")
    try:
        await service.add_email_job(EmailJobType.PIPELINE_COMPLETE, {"to": "user@example.com", "context": {}})
    except CorralError as error:
        note(f"a mistake is refused when it is made: {error}")
    several = [{**welcome, "to": f"user{number}@example.com"} for number in range(1, stage.burst + 1)]
    stage.many(await service.app.definition(QueueName.EMAIL, EmailJobType.WELCOME).add_bulk(several))
    alert = {"to": "ops@example.com", "context": {"message": "The disk of build-3 is full.", "severity": "critical"}}
    await service.add_email_job(EmailJobType.ALERT, alert, JobPriority.CRITICAL)
    note(f"added {stage.burst} mails in one step and an alert after them: it goes first")


async def add_builds(app: Corral, stage: Stage) -> None:
    """Add a pipeline that passes, one that fails, a test suite, a deployment that stays and one that is taken back."""
    note = stage.note
    steps = [
        _step("build", "import time; print('compiling'); time.sleep(0.3); open('app.bin', 'w').write('app')"),
        _step("lint", "print('no findings')", needs=["build"]),
        _step("test", f"open('junit.xml', 'w').write({JUNIT!r})", needs=["build"], results=["junit.xml"]),
        _step("package", "print(open('app.bin').read())", needs=["lint", "test"], artifacts=["app.bin"]),
    ]
    await _run(app, "Production Deploy", steps, notify=["user@example.com", "admin@example.com"])
    note("added a pipeline of four steps, two of them side by side; its end is mailed")
    broken = [_step("build", "raise SystemExit('main.c:7: error')"), _step("test", "print('never')")]
    failing = await _run(app, "Broken Build", broken)
    stage.fails(failing)
    stage.meant.update((str(QueueName.PIPELINE), f"{failing.id}.{number}") for number in (1, 2))
    note("added a pipeline whose build fails: what comes after is skipped")
    suite = {"suiteName": "unit", "projectName": "Shop", "projectId": "shop", "results": ["junit.xml"]}
    suite |= {"run": [PYTHON, "-c", f"open('junit.xml', 'w').write({JUNIT!r})"], "triggeredBy": "Ann Lee"}
    await app.definition(QueueName.TEST, "run-tests").add(suite)
    await _deploy(app, "2.1", stage.folder / "staging.txt")
    stage.fails(await _deploy(app, "2.2", stage.folder / "production.txt"))
    note("added a deployment that is well, and one that is not: it is rolled back")


def _step(name: str, code: str, **more: object) -> dict[str, object]:
    return {"name": name, "run": [PYTHON, "-c", code], "timeoutSeconds": 60, **more}


async def _run(app: Corral, name: str, steps: list[dict[str, object]], **more: object) -> JobHandle[object]:
    payload = {
        "pipelineId": "shop-main", "pipelineName": name, "projectName": "Shop", "projectId": "shop", "steps": steps,
        "triggeredBy": "John Doe", "pipelineUrl": "https://app.golive.example/pipelines/123", **more,
    }  # fmt: skip
    handle: JobHandle[object] = await app.definition(QueueName.PIPELINE, "run-pipeline").add(payload)
    return handle


async def _deploy(app: Corral, version: str, live: Path) -> JobHandle[object]:
    """Deploy into a file. What is in it after version 2.2 is not well."""
    put = f"open({str(live)!r}, 'w').write('{{}}')"
    look = f"assert open({str(live)!r}).read() != '2.2', 'error 500'"
    payload = {
        "deploymentId": f"shop-{version}", "projectName": "Shop", "projectId": "shop", "environment": live.stem,
        "version": version, "previousVersion": "2.0", "run": [PYTHON, "-c", put.format("${version}")],
        "healthCheck": {"run": [PYTHON, "-c", look], "attempts": 2, "intervalSeconds": 0.2, "timeoutSeconds": 30},
        "rollback": [PYTHON, "-c", put.format("${previousVersion}")], "triggeredBy": "Ann Lee",
    }  # fmt: skip
    handle: JobHandle[object] = await app.definition(QueueName.DEPLOYMENT, "deploy").add(payload)
    return handle


async def add_reports(service: JobService, stage: Stage) -> None:
    """Add one report of each kind."""
    days = {"period": "30d", "formats": ["html", "csv"]}
    await service.add_report_job(ReportJobType.PIPELINE_REPORT, {"pipelineId": "shop-main", "userId": "user-1", **days})
    await service.add_report_job(ReportJobType.TEST_COVERAGE, {"projectId": "shop", "userId": "user-1", **days})
    await service.add_report_job(ReportJobType.SECURITY_SCAN, {"projectId": "billing", **days})
    await service.add_report_job(ReportJobType.ANALYTICS, days)
    await service.add_report_job(ReportJobType.AUDIT_LOG, days)
    stage.note("added the five reports; two of them are mailed to whoever asked")


async def add_upkeep(service: JobService, stage: Stage) -> None:
    """Add the clean-ups, a backup, a health check, a notification; tell when the schedules run."""
    app = service.app
    for kind in CleanupJobType:
        await service.add_cleanup_job(kind, {}, JobPriority.LOW)
    await app.definition(QueueName.ANALYTICS, "daily-backup").add({"type": "full"})
    await app.definition(QueueName.ANALYTICS, "health-check").add({})
    news = {"organizationId": "golive", "recipientIds": ["user-2"], "title": "Your build is through"}
    await app.definition(QueueName.NOTIFICATION, "send-notification").add(news)
    stage.note("added the four clean-ups, a backup, a health check and a notification")
    await service.schedule_daily_cleanup()
    await app.sync_schedules()
    for entry in (await (await app.open()).schedules()).items:
        if isinstance(entry.timing, Cron) and entry.next_at is not None:
            due = datetime.fromtimestamp(entry.next_at / 1000, UTC)
            stage.note(f"schedule {entry.key} ({entry.timing.expression}) runs next on {due:%a %d %b at %H:%M} UTC")
