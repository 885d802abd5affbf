"""What the five reports are made of."""

from collections.abc import Mapping
from pathlib import Path

from corral.handlers.reports import (
    AnalyticsSource,
    AuditSource,
    CoverageSource,
    FolderInputs,
    PipelineSource,
    SecuritySource,
)
from corral.handlers.reports import Source as ReportSource

from .data import GoLive
from .payloads import ReportJobType


def report_sources(golive: GoLive, folder: Path) -> Mapping[str, ReportSource]:
    """A source for each report. Coverage and scans are files of other tools: `folder`/coverage/<projectId>/…"""
    return {
        ReportJobType.PIPELINE_REPORT: PipelineSource(golive.runs),
        ReportJobType.TEST_COVERAGE: CoverageSource(FolderInputs(folder / "coverage")),
        ReportJobType.SECURITY_SCAN: SecuritySource(FolderInputs(folder / "security")),
        ReportJobType.ANALYTICS: AnalyticsSource(golive.measures),
        ReportJobType.AUDIT_LOG: AuditSource(golive.audit),
    }
