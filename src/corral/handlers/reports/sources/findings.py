"""What security scanners write: SARIF 2.1.0, and the JSON of pip-audit, npm audit and Trivy."""

from collections.abc import Iterator
from typing import TypeVar

from msgspec import DecodeError, Struct, ValidationError, field
from msgspec.json import decode

from corral.handlers.reports.sources.files import InputFile, InputFileError, number
from corral.handlers.reports.words import line

T = TypeVar("T")
SEVERITIES = ("critical", "high", "medium", "low", "info")
_LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": "info"}
_NAMES = {"moderate": "medium", "unknown": "info", "negligible": "info", "informational": "info", "important": "high"}
_TEXT = 300


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a scanner complains about. `where` is a place in a file, or a package with its version."""

    tool: str
    rule: str
    severity: str
    where: str
    text: str
    fix: str = ""
    url: str = ""
    package: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding tomorrow: lines move, files and packages stay."""
        return (self.tool, self.rule, self.package or self.where.rpartition(":")[0] or self.where)


class Scan(Struct, frozen=True, kw_only=True):
    """What one file says."""

    tool: str
    findings: tuple[Finding, ...]
    suppressed: int = 0


def severity_of(word: str | None, default: str = "info") -> str:
    """One of the five severities, whatever a tool calls it."""
    name = (word or "").lower()
    name = _NAMES.get(name, name)
    return name if name in SEVERITIES else default


def severity_of_score(score: float) -> str:
    """The severity of a CVSS score."""
    return (
        "critical"
        if score >= 9
        else "high"
        if score >= 7
        else "medium"
        if score >= 4
        else "low"
        if score > 0
        else "info"
    )


def read_scan(file: InputFile) -> Scan:
    """Read a scanner's file, whichever of the four kinds it is.

    Raises:
        InputFileError: it is none of them, or damaged.
    """
    kind = _decode(file, _Kind)
    if kind.runs is not None:
        return _sarif(_decode(file, _Sarif))
    if kind.dependencies is not None:
        return _pip_audit(_decode(file, _PipAudit))
    if kind.vulnerabilities is not None:
        return _npm_audit(_decode(file, _NpmAudit))
    if kind.SchemaVersion is not None:
        return _trivy(_decode(file, _Trivy))
    raise InputFileError(file.name, "it is none of SARIF, pip-audit, npm audit and Trivy")


def _decode(file: InputFile, kind: type[T]) -> T:
    try:
        return decode(file.content.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise InputFileError(file.name, f"not JSON as scanners write it ({line(str(error))[:120]})") from None


class _Kind(Struct):
    """The keys by which the kinds are told apart."""

    runs: list[object] | None = None
    dependencies: list[object] | None = None
    vulnerabilities: dict[str, object] | None = None
    SchemaVersion: int | None = None


# -- SARIF -------------------------------------------------------------------------------------------------------------


class _Text(Struct):
    text: str | None = None
    markdown: str | None = None


class _Rule(Struct, rename="camel"):
    id: str = ""
    name: str | None = None
    short_description: _Text | None = None
    full_description: _Text | None = None
    help_uri: str | None = None
    default_configuration: dict[str, object] | None = None
    properties: dict[str, object] | None = None


class _Driver(Struct):
    name: str = "?"
    rules: list[_Rule] | None = None


class _Tool(Struct):
    driver: _Driver
    extensions: list[_Driver] | None = None


class _Artifact(Struct):
    uri: str | None = None


class _Region(Struct, rename="camel"):
    start_line: int | None = None


class _Physical(Struct, rename="camel"):
    artifact_location: _Artifact | None = None
    region: _Region | None = None


class _Location(Struct, rename="camel"):
    physical_location: _Physical | None = None


class _RuleRef(Struct):
    id: str | None = None
    index: int | None = None


class _Result(Struct, rename="camel"):
    rule_id: str | None = None
    rule_index: int | None = None
    rule: _RuleRef | None = None
    level: str | None = None
    kind: str | None = None
    message: _Text = field(default_factory=_Text)
    locations: list[_Location] | None = None
    suppressions: list[object] | None = None
    baseline_state: str | None = None


class _Run(Struct):
    tool: _Tool
    results: list[_Result] | None = None


class _Sarif(Struct):
    runs: list[_Run]


def _sarif(found: _Sarif) -> Scan:
    findings: list[Finding] = []
    suppressed = 0
    for run in found.runs:
        rules = [rule for part in (run.tool.driver, *(run.tool.extensions or ())) for rule in part.rules or ()]
        by_id = {rule.id: rule for rule in rules}
        for result in run.results or ():
            if result.suppressions:
                suppressed += 1
            elif result.baseline_state != "absent" and result.kind in (None, "fail", "open", "review"):
                findings.append(_sarif_finding(run.tool.driver.name, result, _rule_of(result, by_id, run)))
    tools = ", ".join(dict.fromkeys(run.tool.driver.name for run in found.runs)) or "SARIF"
    return Scan(tool=tools, findings=tuple(findings), suppressed=suppressed)


def _rule_of(result: _Result, by_id: dict[str, _Rule], run: _Run) -> _Rule:
    name = result.rule_id or (result.rule.id if result.rule else None)
    index = result.rule_index if result.rule_index is not None else (result.rule.index if result.rule else None)
    rules = run.tool.driver.rules or []
    if name is not None:
        # `rule/part` is a part of a rule: the rule itself is what is described.
        return by_id.get(name) or by_id.get(name.partition("/")[0]) or _Rule(id=name)
    return rules[index] if index is not None and 0 <= index < len(rules) else _Rule(id="?")


def _sarif_finding(tool: str, result: _Result, rule: _Rule) -> Finding:
    score = number(str((rule.properties or {}).get("security-severity", "")), -1)
    level = result.level or str((rule.default_configuration or {}).get("level", "warning"))
    described = rule.short_description or rule.full_description or _Text()
    text = result.message.text or result.message.markdown or described.text or rule.name or ""
    return Finding(
        tool=line(tool),
        rule=line(result.rule_id or rule.id),
        where=_place(result),
        text=line(text)[:_TEXT],
        severity=severity_of_score(score) if score >= 0 else _LEVELS.get(level, "medium"),
        url=line(rule.help_uri or ""),
    )


def _place(result: _Result) -> str:
    for location in result.locations or ():
        physical = location.physical_location
        if physical is not None and physical.artifact_location is not None and physical.artifact_location.uri:
            start = physical.region.start_line if physical.region else None
            uri = line(physical.artifact_location.uri)
            return f"{uri}:{start}" if start else uri
    return ""


# -- pip-audit ---------------------------------------------------------------------------------------------------------


class _PipVuln(Struct):
    id: str
    fix_versions: list[str] | None = None
    aliases: list[str] | None = None
    description: str | None = None


class _PipPackage(Struct):
    name: str
    version: str | None = None
    vulns: list[_PipVuln] | None = None


class _PipAudit(Struct):
    dependencies: list[_PipPackage]


def _pip_audit(found: _PipAudit) -> Scan:
    """pip-audit knows no severities. A known vulnerability in what is installed is not nothing: it counts as high."""
    findings = tuple(
        Finding(
            tool="pip-audit",
            rule=next((alias for alias in one.aliases or () if alias.startswith("CVE-")), one.id),
            severity="high",
            where=f"{package.name} {package.version or ''}".strip(),
            package=package.name,
            text=line(one.description or "")[:_TEXT],
            fix=", ".join(one.fix_versions or ()),
        )
        for package in found.dependencies
        for one in package.vulns or ()
    )
    return Scan(tool="pip-audit", findings=findings)


# -- npm audit ---------------------------------------------------------------------------------------------------------


class _NpmVia(Struct):
    title: str | None = None
    url: str | None = None
    severity: str | None = None
    source: int | str | None = None
    name: str | None = None
    range: str | None = None


class _NpmPackage(Struct, rename="camel"):
    name: str
    severity: str | None = None
    via: list[_NpmVia | str] = []
    range: str | None = None
    fix_available: bool | dict[str, object] | None = None


class _NpmAudit(Struct):
    vulnerabilities: dict[str, _NpmPackage]


def _npm_audit(found: _NpmAudit) -> Scan:
    """A package that is only affected through another one is not listed again: the other one is what to repair."""
    return Scan(tool="npm audit", findings=tuple(_npm_findings(found)))


def _npm_findings(found: _NpmAudit) -> Iterator[Finding]:
    for package in found.vulnerabilities.values():
        fix = package.fix_available
        answer = "available" if fix is True else ""
        if isinstance(fix, dict):
            answer = line(f"{fix.get('name', '')} {fix.get('version', '')}")
        for via in package.via:
            if not isinstance(via, str):
                rule = (via.url or "").rstrip("/").rpartition("/")[2] or str(via.source or "?")
                yield Finding(
                    tool="npm audit",
                    rule=line(rule),
                    severity=severity_of(via.severity or package.severity, "medium"),
                    where=line(f"{package.name} {via.range or package.range or ''}"),
                    package=line(package.name),
                    text=line(via.title or "")[:_TEXT],
                    fix=answer,
                    url=line(via.url or ""),
                )


# -- Trivy -------------------------------------------------------------------------------------------------------------


class _TrivyVuln(Struct, rename="pascal"):
    vulnerability_id: str = field(name="VulnerabilityID", default="?")
    pkg_name: str = ""
    installed_version: str = ""
    fixed_version: str = ""
    severity: str = ""
    title: str = ""
    primary_url: str = field(name="PrimaryURL", default="")


class _TrivyCheck(Struct, rename="pascal"):
    id: str = field(name="ID", default="?")
    title: str = ""
    severity: str = ""
    status: str = "FAIL"
    message: str = ""
    resolution: str = ""


class _TrivySecret(Struct, rename="pascal"):
    rule_id: str = field(name="RuleID", default="?")
    severity: str = ""
    title: str = ""
    start_line: int = 0


class _TrivyResult(Struct, rename="pascal"):
    target: str = ""
    vulnerabilities: list[_TrivyVuln] | None = None
    misconfigurations: list[_TrivyCheck] | None = None
    secrets: list[_TrivySecret] | None = None


class _Trivy(Struct, rename="pascal"):
    results: list[_TrivyResult] | None = None


def _trivy(found: _Trivy) -> Scan:
    return Scan(tool="Trivy", findings=tuple(_trivy_findings(found)))


def _trivy_findings(found: _Trivy) -> Iterator[Finding]:
    for result in found.results or ():
        for one in result.vulnerabilities or ():
            yield Finding(
                tool="Trivy",
                rule=line(one.vulnerability_id),
                severity=severity_of(one.severity),
                url=line(one.primary_url),
                where=line(f"{one.pkg_name} {one.installed_version} in {result.target}"),
                text=line(one.title)[:_TEXT],
                fix=line(one.fixed_version),
                package=line(f"{result.target} {one.pkg_name}"),
            )
        for check in result.misconfigurations or ():
            if check.status == "FAIL":
                yield Finding(
                    tool="Trivy",
                    rule=line(check.id),
                    severity=severity_of(check.severity),
                    where=line(result.target),
                    text=line(check.message or check.title)[:_TEXT],
                    fix=line(check.resolution)[:_TEXT],
                )
        for secret in result.secrets or ():
            # What was found is a secret: only where it stands goes into the report.
            yield Finding(
                tool="Trivy",
                rule=line(secret.rule_id),
                severity=severity_of(secret.severity, "high"),
                where=f"{line(result.target)}:{secret.start_line}",
                text=line(secret.title)[:_TEXT],
            )
