"""What became of a run: the jobs' results, and what the application is told."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from corral.handlers.pipelines.artifacts import Artifact
from corral.handlers.pipelines.junit import Results
from corral.timing import Millis


class StepRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """One step of a pipeline."""

    name: str
    status: str  #: "passed", "failed", "skipped"
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""
    attempts: int = 1
    tests: Results | None = None
    artifacts: tuple[Artifact, ...] = ()


class PipelineRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """A pipeline that has ended."""

    pipeline_id: str
    pipeline_name: str
    project_name: str
    project_id: str | None = None
    status: str  #: "passed" or "failed"
    reason: str = ""
    started_at: Millis
    finished_at: Millis
    commit: str = ""
    triggered_by: str | None = None
    key: str  #: the folder of its artifacts
    steps: tuple[StepRun, ...]


class SuiteRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """A test suite that has run."""

    suite_name: str
    project_name: str
    project_id: str | None = None
    status: str  #: "passed" or "failed"
    started_at: Millis
    finished_at: Millis
    seconds: float
    exit_code: int
    commit: str = ""
    triggered_by: str | None = None
    key: str
    results: Results
    artifacts: tuple[Artifact, ...] = ()


class DeploymentRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """A deployment that has ended."""

    deployment_id: str
    project_name: str
    project_id: str | None = None
    environment: str
    version: str
    previous_version: str | None = None
    status: str  #: "deployed", "rolled-back" or "failed"
    reason: str = ""
    started_at: Millis
    finished_at: Millis
    commit: str = ""
    triggered_by: str | None = None
    key: str
    health_checks: int = 0
    artifacts: tuple[Artifact, ...] = ()


#: Told of a run's end under the job's id. It may be told twice of the same one, and has to find the second the same.
PipelineEnded = Callable[[str, PipelineRun], Awaitable[object]]
SuiteEnded = Callable[[str, SuiteRun], Awaitable[object]]
DeploymentEnded = Callable[[str, DeploymentRun], Awaitable[object]]


def duration(ms: Millis) -> str:
    """A duration as people write it: `5m 23s`."""
    seconds = max(0, round(ms / 1000))
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {seconds}s"
