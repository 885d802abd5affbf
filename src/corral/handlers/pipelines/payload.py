"""What the jobs carry. Code says `pipeline_id`, JSON says `pipelineId`; both are understood when a job is added."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from corral.errors import PayloadError
from corral.handlers.pipelines import texts

MAX_STEPS = 50
MAX_ARGUMENTS = 256

Name = Annotated[str, AfterValidator(texts.name)]
Line = Annotated[str, AfterValidator(lambda value: texts.line(value, "text"))]
Command = Annotated[list[str], Field(min_length=1, max_length=MAX_ARGUMENTS), AfterValidator(texts.command)]
Variables = Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(texts.variables)]
Environment = Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(texts.environment)]
Folder = Annotated[str, AfterValidator(texts.folder)]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(texts.pattern)], ...], Field(max_length=20)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Recipients = Annotated[tuple[Line, ...], Field(max_length=50)]


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Repository(Payload):
    """Where the code comes from: a URL at an allowed host, or a name that the application gave a repository."""

    url: str | None = Field(default=None, max_length=500)
    name: Name | None = None
    ref: Annotated[str, AfterValidator(texts.ref)] = "HEAD"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.name is None):
            raise PayloadError("a repository has a url or a name")
        return self


class Work(Payload):
    """What every command has: arguments, an environment, a folder, a time."""

    run: Command
    env: Environment = Field(default_factory=dict)
    folder: Folder = "."
    timeout_seconds: Seconds | None = None
    artifacts: Patterns = ()


class Step(Work):
    """One command of a pipeline."""

    name: Name
    needs: tuple[Name, ...] | None = Field(default=None, max_length=MAX_STEPS)  #: None: the step before it
    results: Patterns = ()  #: test results to count
    retries: int = Field(default=0, ge=0, le=10)
    allow_failure: bool = False  #: the pipeline goes on without it
    always: bool = False  #: runs although a step that it needs has failed


class Common(Payload):
    """What pipelines, suites and deployments have in common."""

    project_name: Line
    project_id: Line | None = None
    repository: Repository | None = None
    variables: Variables = Field(default_factory=dict)
    triggered_by: Line | None = None
    notify: Recipients = ()  #: addresses that get a mail at the end


class RunPipeline(Common):
    """A pipeline: steps, each of which runs when those that it needs are done."""

    pipeline_id: Line
    pipeline_name: Line
    pipeline_url: Line | None = None
    env: Environment = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)

    @model_validator(mode="after")
    def _graph(self) -> Self:
        seen: set[str] = set()
        for step in self.steps:
            if step.name in seen:
                raise PayloadError(f"there are two steps {step.name!r}")
            if unknown := [need for need in step.needs or () if need not in seen]:
                raise PayloadError(
                    f"step {step.name!r} needs {unknown[0]!r}, which is no step before it: steps stand in an order in "
                    "which they could run"
                )
            seen.add(step.name)
            _check_used([*step.run, *step.env.values()], self.variables, {"pipelineId", "step", "commit"})
        _check_used(list(self.env.values()), self.variables, {"pipelineId", "commit"})
        return self

    def needs(self, step: Step) -> tuple[str, ...]:
        """The steps that a step comes after."""
        if step.needs is not None:
            return step.needs
        index = self.steps.index(step)
        return (self.steps[index - 1].name,) if index else ()


class RunStep(Payload):
    """A step on its way: added by its pipeline."""

    pipeline_id: Line
    run_key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    step: Step
    env: Environment = Field(default_factory=dict)
    variables: Variables = Field(default_factory=dict)


class RunTests(Common, Work):
    """A test suite: a command, and where it leaves its results."""

    suite_name: Line
    suite_url: Line | None = None
    results: Patterns = Field(default=("**/junit*.xml", "**/TEST-*.xml", "**/test-results*.xml"), min_length=1)
    fail_job: bool = False  #: tests that fail make the job fail; else it completes and says so

    @model_validator(mode="after")
    def _variables_known(self) -> Self:
        _check_used([*self.run, *self.env.values()], self.variables, {"commit"})
        return self


class HealthCheck(Payload):
    """How to find out whether what was deployed is well: an address that answers, or a command that ends with 0."""

    url: Annotated[str, Field(max_length=2_000)] | None = None
    run: Command | None = None
    status: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field(default=(200,), min_length=1, max_length=20)
    contains: Annotated[str, Field(min_length=1, max_length=500)] | None = None  #: a text in the answer
    attempts: int = Field(default=10, ge=1, le=100)
    interval_seconds: float = Field(default=3.0, ge=0, le=300)
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    successes: int = Field(default=1, ge=1, le=20)  #: in a row, to be believed

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.run is None):
            raise PayloadError("a health check has a url or a command to run")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise PayloadError("the url of a health check begins with https:// or http://")
        if self.successes > self.attempts:
            raise PayloadError("a health check needs more attempts than successes in a row")
        return self


class Deploy(Common, Work):
    """A deployment: a command, how to see that it is well, and a command that takes it back."""

    deployment_id: Line
    deployment_url: Line | None = None
    environment: Line
    version: Line
    previous_version: Line | None = None
    health_check: HealthCheck | None = None
    rollback: Command | None = None

    @model_validator(mode="after")
    def _variables_known(self) -> Self:
        commands = [*self.run, *(self.rollback or ()), *self.env.values()]
        if self.health_check is not None and self.health_check.run is not None:
            commands += self.health_check.run
        known = {"version", "environment", "commit"} | ({"previousVersion"} if self.previous_version else set())
        _check_used(commands, self.variables, known)
        return self


def _check_used(written: list[str], variables: Mapping[str, str], given: set[str]) -> None:
    if clash := given & variables.keys():
        raise PayloadError(f"variable {min(clash)!r} is given by the job itself")
    if unknown := texts.used(written) - variables.keys() - given:
        raise PayloadError(f"variable {min(unknown)!r} is used and not given")
