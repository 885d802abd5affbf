"""Deployments in an application: the command, the look at what it did, and the way back."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from corral.app.app import Corral
from corral.errors import JobFailedError, PayloadError
from corral.handlers.email import preview
from corral.handlers.kit.mail import Mail
from corral.handlers.kit.web import Web
from corral.handlers.pipelines import DeploymentRun, PipelineSettings, deployment_bundle, deployment_group
from corral.job import JobState

PATIENCE = 100.0
#: Writes what runs where: a deployment is what is in the file.
PUT = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"


@dataclass
class Yard:
    """An application that deploys into a file, with a worker."""

    app: Corral
    live: Path
    settings: PipelineSettings
    ended: list[tuple[str, DeploymentRun]] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    last: str = ""

    def payload(self, **more: object) -> dict[str, object]:
        return {
            "deploymentId": "d-1",
            "projectName": "Shop",
            "environment": "production",
            "version": "2.0",
            "previousVersion": "1.9",
            "run": ["put", str(self.live), "deployed ${version} to ${environment}"],
            "rollback": ["put", str(self.live), "back to ${previousVersion}"],
            **more,
        }

    async def run(self, **more: object) -> Mapping[str, object]:
        """Deploy; answers the result."""
        handle = await self.app.definition("deployment", "deploy").add(self.payload(**more))
        self.last = handle.id
        result: Mapping[str, object] = await handle.result(timeout=PATIENCE)
        return result

    @property
    def lines(self) -> list[str]:
        return self.live.read_text().splitlines() if self.live.exists() else []


@pytest.fixture
async def yard(
    settings: PipelineSettings, tmp_path: Path, programs: Path, httpserver: HTTPServer
) -> AsyncIterator[Yard]:
    put = programs / "put"
    put.write_text((programs / "runner").read_text().split("\n")[0] + f"\n{PUT}\n")
    put.chmod(0o755)
    settings = settings.model_copy(update={"pipeline_programs": (*settings.pipeline_programs, "put")})
    app = Corral(f"sqlite:///{tmp_path / 'corral.db'}")
    made = Yard(app, tmp_path / "live", settings)

    async def ended(job_id: str, run: DeploymentRun) -> None:
        made.ended.append((job_id, run))

    async def send(id: str, mail: Mail) -> None:
        made.mails.append(mail)

    web = Web(trusted=[httpserver.url_for("").rstrip("/")])
    app.include(deployment_bundle(settings, ended=ended, send=send, web=web), concurrency=3)
    async with app, await app.worker():
        yield made


def health(**more: object) -> dict[str, object]:
    return {"run": ["true"], "attempts": 3, "intervalSeconds": 0, "timeoutSeconds": 30, **more}


async def test_a_deployment_runs_its_command_with_its_own_values(yard: Yard) -> None:
    result = await yard.run()

    assert yard.lines == ["deployed 2.0 to production"]
    assert (result["status"], result["version"], result["healthChecks"]) == ("deployed", "2.0", 0)
    assert [run.status for _, run in yard.ended] == ["deployed"]


async def test_a_deployment_that_is_well_stays(yard: Yard) -> None:
    result = await yard.run(healthCheck=health())

    assert (result["status"], result["healthChecks"]) == ("deployed", 1)
    assert yard.lines == ["deployed 2.0 to production"]


async def test_a_deployment_that_is_not_well_is_rolled_back(yard: Yard) -> None:
    check = health(run=["runner", f"assert 'back' in open({str(yard.live)!r}).read()"])

    with pytest.raises(JobFailedError, match=r"rolled back to 1\.9"):
        await yard.run(healthCheck=check)

    assert yard.lines == ["deployed 2.0 to production", "back to 1.9"]
    [(_, run)] = yard.ended
    assert run.status == "rolled-back"
    assert run.reason == "not well after 3 looks: runner exited with status 1; rolled back to 1.9"


async def test_a_command_that_fails_is_rolled_back_without_a_look(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match=r"false exited with status 1; rolled back to 1\.9"):
        await yard.run(run=["false"])

    assert yard.lines == ["back to 1.9"]


async def test_a_command_that_takes_too_long_is_rolled_back(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match=r"sleep ran longer than 1 s; rolled back to 1\.9"):
        await yard.run(run=["sleep", "600"], rollback=["true"], timeoutSeconds=1)


async def test_without_a_way_back_a_deployment_says_that_there_is_none(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match="there is no command to take it back"):
        await yard.run(run=["false"], rollback=None)

    assert yard.ended[0][1].status == "failed"


async def test_a_way_back_that_fails_is_told_with_the_first_reason(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match=r"status 1; taking it back failed, too: false exited with status 1"):
        await yard.run(run=["false"], rollback=["false"])


async def test_what_is_not_well_after_the_way_back_either_is_told(yard: Yard) -> None:
    with pytest.raises(JobFailedError, match=r"rolled back to 1\.9, and is still not well"):
        await yard.run(healthCheck=health(run=["false"]))


async def test_an_address_is_asked_until_it_is_well(yard: Yard, httpserver: HTTPServer) -> None:
    answers = [503, 503, 200]
    httpserver.expect_request("/health").respond_with_handler(lambda _: Response("ok", answers.pop(0)))

    result = await yard.run(
        healthCheck={"url": httpserver.url_for("/health"), "intervalSeconds": 0, "timeoutSeconds": 30, "contains": "ok"}
    )

    assert (result["status"], result["healthChecks"], answers) == ("deployed", 3, [])


async def test_an_address_has_to_be_well_so_many_times_in_a_row(yard: Yard, httpserver: HTTPServer) -> None:
    answers = [200, 500, 200, 200]
    httpserver.expect_request("/health").respond_with_handler(lambda _: Response("", answers.pop(0)))

    result = await yard.run(
        healthCheck={
            "url": httpserver.url_for("/health"), "intervalSeconds": 0, "timeoutSeconds": 30, "successes": 2,
        }
    )  # fmt: skip

    assert result["healthChecks"] == 4


@pytest.mark.parametrize(
    ("answer", "check", "reason"),
    [
        (Response("down", 503), {}, "it answered 503"),
        (Response("wrong", 200), {"contains": "right"}, "its answer lacks the expected text"),
        (Response("", 200), {"status": [204]}, "it answered 200"),
    ],
)
async def test_an_address_that_is_not_well_is_told(
    yard: Yard, httpserver: HTTPServer, answer: Response, check: dict[str, object], reason: str
) -> None:
    httpserver.expect_request("/health").respond_with_response(answer)

    with pytest.raises(JobFailedError, match=reason):
        await yard.run(
            rollback=None,
            healthCheck={
                "url": httpserver.url_for("/health"),
                "attempts": 2,
                "intervalSeconds": 0,
                "timeoutSeconds": 30,
                **check,
            },
        )


async def test_an_address_that_nobody_trusts_is_not_asked(yard: Yard) -> None:
    check = {"url": "http://169.254.169.254/latest/meta-data", "attempts": 1, "timeoutSeconds": 30}

    with pytest.raises(JobFailedError, match="not well after 1 looks"):
        await yard.run(rollback=None, healthCheck=check)


async def test_a_deployment_without_web_refuses_checks_by_address(settings: PipelineSettings, yard: Yard) -> None:
    [deploy] = deployment_bundle(yard.settings)

    with pytest.raises(PayloadError, match="health checks by url need deployment_bundle"):
        deploy.new(yard.payload(healthCheck={"url": "https://example.org"}))


async def test_two_deployments_to_one_place_wait_for_each_other(yard: Yard) -> None:
    # Whoever comes while another one holds the lock fails: both pass only one after the other.
    code = f"import fcntl, time; f = open({str(yard.live)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    deploy = yard.app.definition("deployment", "deploy")
    payload = yard.payload(run=["runner", f"{code}; time.sleep(1)"], rollback=None)

    handles = [await deploy.add(payload) for _ in range(2)]

    results = [await handle.result(timeout=PATIENCE) for handle in handles]
    assert [result["status"] for result in results] == ["deployed", "deployed"]


async def test_a_retry_by_a_person_deploys_again(yard: Yard, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import os; flag = {str(flag)!r}; seen = os.path.exists(flag); open(flag, 'w').close(); assert seen"
    with pytest.raises(JobFailedError):
        await yard.run(run=["runner", code])
    queue = await yard.app.open_queue("deployment")

    await queue.retry(yard.last)
    await queue.result(yard.last, timeout=PATIENCE)

    assert [run.status for _, run in yard.ended] == ["rolled-back", "deployed"]


async def test_a_failed_deployment_uses_one_attempt(yard: Yard) -> None:
    with pytest.raises(JobFailedError):
        await yard.run(run=["false"])

    job = await (await yard.app.open_queue("deployment")).get(yard.last)
    assert (job.state, job.attempts_made) == (JobState.FAILED, 1)


async def test_whom_a_payload_names_gets_a_mail(yard: Yard) -> None:
    with pytest.raises(JobFailedError):
        await yard.run(run=["false"], notify=["ops@example.org"], triggeredBy="Ann")

    [mail] = yard.mails
    preview(mail.template, mail.data)  # a variable that lacks would fail the mail's job
    assert (mail.subject, mail.template) == ("Shop 2.0 on production: rolled back", "deployment-notification")
    assert {key: mail.data[key] for key in ("status", "deployedBy", "rolledBackTo", "version")} == {
        "status": "ROLLED_BACK",
        "deployedBy": "Ann",
        "rolledBackTo": "1.9",
        "version": "2.0",
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"healthCheck": {}}, "a health check has a url or a command"),
        ({"healthCheck": {"url": "ftp://example.org"}}, "begins with https:// or http://"),
        ({"healthCheck": {"run": ["true"], "attempts": 1, "successes": 2}}, "more attempts than successes"),
        ({"healthCheck": {"run": ["make"]}}, "program 'make' is not allowed"),
        ({"rollback": ["make"]}, "program 'make' is not allowed"),
        ({"rollback": ["true", "${nothing}"]}, "variable 'nothing' is used and not given"),
        ({"previousVersion": None}, "variable 'previousVersion' is used and not given"),
        ({"version": "--force", "run": ["put", "${version}"]}, "begins with '-' and would be an option"),
    ],
)
def test_what_cannot_be_deployed_is_refused_when_it_is_added(
    yard: Yard, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        yard.app.definition("deployment", "deploy").new(yard.payload(**changes))

    assert complaint in str(caught.value)


def test_the_group_of_a_deployment_is_its_place(yard: Yard) -> None:
    new = yard.app.definition("deployment", "deploy").new(yard.payload(), group=deployment_group)

    assert new.group == "Shop/production"
    assert json.loads(new.data)["version"] == "2.0"
