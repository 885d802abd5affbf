"""The bundles: pipelines, test suites and deployments as an application takes them in."""

from typing import Annotated

from pydantic import AfterValidator

from corral.app.bundle import Bundle
from corral.handlers.kit.mail import SendMail
from corral.handlers.pipelines.bench import Bench, Tools
from corral.handlers.pipelines.deployment import Deployments, Probe
from corral.handlers.pipelines.payload import Deploy, RunPipeline, RunStep, RunTests
from corral.handlers.pipelines.pipeline import Pipelines
from corral.handlers.pipelines.records import (
    DeploymentEnded,
    DeploymentRun,
    PipelineEnded,
    PipelineRun,
    StepRun,
    SuiteEnded,
    SuiteRun,
)
from corral.handlers.pipelines.settings import PipelineSettings
from corral.handlers.pipelines.suite import Suites
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

#: A deployment has a checkout, three commands and two rounds of health checks in it; each has a limit of its own.
WHOLE_DAY = 86_400.0
#: Around a suite's command: the checkout before it, the results after it.
AROUND_SECONDS = 1_200.0


def bundle(
    settings: PipelineSettings | None = None, *, tools: Tools | None = None, send: SendMail | None = None,
    ended: PipelineEnded | None = None, clock: Clock = now_ms, queue: str = "pipeline",
    jobs: tuple[str, str] = ("run-pipeline", "run-step"),
) -> Bundle:  # fmt: skip
    """Pipelines: the job that is added, and the one that it makes of every step.

    Args:
        settings: which programs may be run, and the limits; by default what the environment and `corral.toml` say.
        tools: programs, repositories and secrets of the application's own.
        send: hands mails in, for those whom a payload says to notify.
        ended: told of every pipeline's end.
        jobs: the names of the two jobs.

    Raises:
        ConfigError: settings that cannot be meant, or a program that is not there.
    """
    bench = _bench(settings, tools)
    pipelines = Pipelines(bench, clock, send, ended)
    made = Bundle("pipelines", queue=queue, attempts=3, backoff=Exponential(2))

    async def run_pipeline(ctx: JobContext, data: RunPipeline) -> PipelineRun:
        """Run a pipeline as a flow of steps. A second run goes on where the first one stopped."""
        return await pipelines.pipeline(ctx, data)

    async def run_step(ctx: JobContext, data: RunStep) -> StepRun:
        """Run one step of a pipeline. A command whose worker died is run again."""
        return await pipelines.run_step(ctx, data)

    run_pipeline.__annotations__["data"] = Annotated[RunPipeline, AfterValidator(pipelines.check)]
    made.job(jobs[0], timeout=AROUND_SECONDS)(run_pipeline)
    pipelines.step = made.job(jobs[1], timeout=bench.settings.pipeline_max_timeout + AROUND_SECONDS)(run_step)
    return made


def suite_bundle(
    settings: PipelineSettings | None = None, *, tools: Tools | None = None, send: SendMail | None = None,
    ended: SuiteEnded | None = None, clock: Clock = now_ms, queue: str = "test", job: str = "run-tests",
) -> Bundle:  # fmt: skip
    """Test suites. The arguments are those of `bundle`. Raises: ConfigError."""
    bench = _bench(settings, tools)
    suites = Suites(bench, clock, send, ended)
    made = Bundle("test-suites", queue=queue, attempts=3, backoff=Exponential(2))

    async def run_tests(ctx: JobContext, data: RunTests) -> SuiteRun:
        """Run a test suite and count its tests. Once they are counted, a second run does not run them again."""
        return await suites.run_tests(ctx, data)

    run_tests.__annotations__["data"] = Annotated[RunTests, AfterValidator(suites.check)]
    made.job(job, timeout=bench.settings.pipeline_max_timeout + AROUND_SECONDS)(run_tests)
    return made


def deployment_bundle(
    settings: PipelineSettings | None = None, *, tools: Tools | None = None, send: SendMail | None = None,
    ended: DeploymentEnded | None = None, web: Probe | None = None, clock: Clock = now_ms, queue: str = "deployment",
    job: str = "deploy",
) -> Bundle:  # fmt: skip
    """Deployments. The arguments are those of `bundle`, and `web`: asks the addresses of health checks.

    Raises:
        ConfigError: as for `bundle`.
    """
    bench = _bench(settings, tools)
    deployments = Deployments(bench, clock, send, ended, web)
    made = Bundle("deployments", queue=queue, attempts=3, backoff=Exponential(2))

    async def deploy(ctx: JobContext, data: Deploy) -> DeploymentRun:
        """Deploy, check, and roll back what is not well. A second run goes on where the first one stopped."""
        return await deployments.deploy(ctx, data)

    deploy.__annotations__["data"] = Annotated[Deploy, AfterValidator(deployments.check)]
    made.job(job, timeout=WHOLE_DAY)(deploy)
    return made


def _bench(settings: PipelineSettings | None, tools: Tools | None) -> Bench:
    return Bench(PipelineSettings.load() if settings is None else settings, tools or Tools())
