"""Settings: `PIPELINE_…` in the environment or `.env`, or the table `[pipelines]` of `corral.toml`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from corral.handlers.kit.settings import FamilySettings

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_ENV = re.compile(r"[A-Z][A-Z0-9_]{0,62}\*?")

#: A list in the environment is written with commas.
Words = Annotated[tuple[str, ...], NoDecode]


class PipelineSettings(FamilySettings):
    """What commands may be run, where, and how much of everything they may take.

    Raises:
        ValidationError: pydantic's, with every complaint; `PipelineSettings.load` makes it a ConfigError.
    """

    table: ClassVar[str] = "pipelines"

    pipeline_programs: Words = ()  #: names found on `pipeline_path`, or absolute paths; nothing else is ever started
    pipeline_path: str = "/usr/local/bin:/usr/bin:/bin"  #: where names are looked for, and the commands' own PATH
    pipeline_env: Words = ()  #: variables that a payload may set; one that ends with * stands for all that begin so
    pipeline_git_hosts: Words = ("github.com", "gitlab.com", "bitbucket.org")
    pipeline_folder: Path = Path("pipelines")  #: workspaces and artifacts
    pipeline_timeout: float = Field(default=900.0, gt=0, le=86_400)  #: seconds for a command that says nothing else
    pipeline_max_timeout: float = Field(default=3_600.0, gt=0, le=86_400)  #: the most that one may ask for
    pipeline_max_output: int = Field(default=10_000_000, ge=1_000)  #: bytes a command may print before it is killed
    pipeline_max_log: int = Field(default=200_000, ge=0)  #: bytes of it that go into the job's log
    pipeline_max_artifacts: int = Field(default=100_000_000, ge=0)  #: bytes that one step may leave behind
    pipeline_keep_workspaces: float = Field(default=24.0, ge=0)  #: hours, of those that did not end well

    @field_validator("pipeline_programs", "pipeline_env", "pipeline_git_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value

    @field_validator("pipeline_env")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _ENV.fullmatch(name):
                raise ValueError(f"{name!r} is no variable such as APP_MODE, or several such as APP_*")
        return value

    @field_validator("pipeline_git_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host such as git.example.com")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pipeline_timeout > self.pipeline_max_timeout:
            raise ValueError(
                f"pipeline_timeout ({self.pipeline_timeout:g} s) may not be above pipeline_max_timeout "
                f"({self.pipeline_max_timeout:g} s)"
            )
        return self
