"""Ready-made jobs that run commands: pipelines as flows of steps, test suites with their results, deployments.

Commands are lists of arguments and never go through a shell; only programs that the operator names are run. See
`docs/handlers/pipelines.md`.
"""

from corral.handlers.pipelines.artifacts import Artifact, ArtifactError
from corral.handlers.pipelines.bench import Tools
from corral.handlers.pipelines.bundle import bundle, deployment_bundle, suite_bundle
from corral.handlers.pipelines.command import CommandError, Ended, Runner
from corral.handlers.pipelines.deployment import Probe, Reply, deployment_group
from corral.handlers.pipelines.junit import FailedTest, Results, ResultsError, read_results
from corral.handlers.pipelines.payload import Deploy, HealthCheck, Repository, RunPipeline, RunStep, RunTests, Step
from corral.handlers.pipelines.pipeline import StepFailedError
from corral.handlers.pipelines.records import (
    DeploymentEnded,
    DeploymentRun,
    PipelineEnded,
    PipelineRun,
    StepRun,
    SuiteEnded,
    SuiteRun,
    duration,
)
from corral.handlers.pipelines.settings import PipelineSettings

__all__ = [
    "Artifact",
    "ArtifactError",
    "CommandError",
    "Deploy",
    "DeploymentEnded",
    "DeploymentRun",
    "Ended",
    "FailedTest",
    "HealthCheck",
    "PipelineEnded",
    "PipelineRun",
    "PipelineSettings",
    "Probe",
    "Reply",
    "Repository",
    "Results",
    "ResultsError",
    "RunPipeline",
    "RunStep",
    "RunTests",
    "Runner",
    "Step",
    "StepFailedError",
    "StepRun",
    "SuiteEnded",
    "SuiteRun",
    "Tools",
    "bundle",
    "deployment_bundle",
    "deployment_group",
    "duration",
    "read_results",
    "suite_bundle",
]
