"""Files as other tools write them, each small."""

import json

COBERTURA = """<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="0.6" branch-rate="0.5" version="2.1.1" timestamp="1759600000">
  <packages><package name="shop"><classes>
    <class name="Cart" filename="shop/cart.py"><methods>
        <method name="add"><lines><line number="1" hits="4"/></lines></method>
      </methods><lines>
      <line number="1" hits="4"/><line number="2" hits="0"/><line number="3" hits="0"/>
      <line number="4" hits="1" branch="true" condition-coverage="50% (1/2)"/>
    </lines></class>
    <class name="Cart$Item" filename="shop/cart.py"><methods/><lines>
      <line number="4" hits="2"/><line number="9" hits="1"/>
    </lines></class>
    <class name="Pay" filename="shop/pay/pay.py"><methods/><lines>
      <line number="1" hits="0"/><line number="2" hits="0"/><line number="3" hits="0"/>
    </lines></class>
  </classes></package></packages>
</coverage>
"""

COVERAGE_PY = json.dumps(
    {
        "meta": {"format": 3, "version": "7.10.0", "branch_coverage": True},
        "files": {
            "shop/cart.py": {
                "executed_lines": [1, 2, 3],
                "missing_lines": [7],
                "summary": {"covered_lines": 3, "num_statements": 4, "num_branches": 4, "covered_branches": 3},
            },
            "shop/empty.py": {"missing_lines": [], "summary": {"covered_lines": 0, "num_statements": 0}},
        },
        "totals": {"covered_lines": 3},
    }
)

LCOV = """TN:unit
SF:src/cart.js
FN:1,add
DA:1,5
DA:2,0
DA:3,0
BRDA:2,0,0,1
BRDA:2,0,1,-
LF:3
LH:1
end_of_record
TN:browser
SF:src/cart.js
DA:2,1
end_of_record
SF:src/pay.js
DA:1,1
end_of_record
"""

JACOCO = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="shop"><sessioninfo id="x" start="1" dump="2"/>
  <group name="backend"><package name="com/example/shop">
    <sourcefile name="Cart.java">
      <line nr="3" mi="0" ci="3" mb="1" cb="1"/><line nr="4" mi="2" ci="0" mb="0" cb="0"/>
      <counter type="BRANCH" missed="1" covered="1"/><counter type="LINE" missed="1" covered="1"/>
    </sourcefile>
  </package></group>
</report>
"""

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest"><testsuite name="unit" tests="5" failures="1" errors="1" skipped="1" time="2.5">
  <testcase classname="tests.test_cart" name="test_add" time="0.5"/>
  <testcase classname="tests.test_cart" name="test_total[€]" time="1.25">
    <failure message="assert 3 == 4" type="AssertionError">Traceback (most recent call last):
  File "x.py", line 1</failure>
  </testcase>
  <testcase classname="tests.test_pay" name="test_card" time="0.25"><error message="no server"/></testcase>
  <testcase classname="tests.test_pay" name="test_cash" time="0"><skipped message="later"/></testcase>
  <testcase classname="tests.test_pay" name="test_gift" time="0.5"><system-out>hello</system-out></testcase>
</testsuite></testsuites>
"""


def junit(**outcomes: str) -> str:
    """A run with these tests: `test_a="passed"`."""
    inside = {"passed": "", "failed": '<failure message="no"/>', "skipped": "<skipped/>"}
    cases = "".join(f'<testcase name="{name}" time="1">{inside[how]}</testcase>' for name, how in outcomes.items())
    return f'<testsuite name="all">{cases}</testsuite>'


def sarif(*results: tuple[str, str, str, int], tool: str = "CodeQL") -> str:
    """A scan with these results: rule, level, file, line."""
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": tool,
                            "rules": [
                                {
                                    "id": "sql-injection",
                                    "shortDescription": {"text": "Query built from what a user sent"},
                                    "helpUri": "https://example.org/sql",
                                    "properties": {"security-severity": "9.1", "tags": ["security"]},
                                },
                                {"id": "weak-hash", "defaultConfiguration": {"level": "warning"}},
                            ],
                        }
                    },
                    "results": [
                        {
                            "ruleId": rule,
                            "level": level,
                            "message": {"text": f"{rule} in {file}"},
                            "locations": [
                                {
                                    "physicalLocation": {
                                        "artifactLocation": {"uri": file, "uriBaseId": "%SRCROOT%"},
                                        "region": {"startLine": place},
                                    }
                                }
                            ],
                        }
                        for rule, level, file, place in results
                    ],
                }
            ],
        }
    )


PIP_AUDIT = json.dumps(
    {
        "dependencies": [
            {
                "name": "jinja2",
                "version": "2.4.1",
                "vulns": [
                    {
                        "id": "PYSEC-2019-217",
                        "fix_versions": ["2.10.1"],
                        "aliases": ["CVE-2019-10906", "GHSA-462w-v97r-4m45"],
                        "description": "A sandbox can be left.",
                    }
                ],
            },
            {"name": "pydantic", "version": "2.12.0", "vulns": []},
            {"name": "local", "skip_reason": "not on the index"},
        ],
        "fixes": [],
    }
)

NPM_AUDIT = json.dumps(
    {
        "auditReportVersion": 2,
        "vulnerabilities": {
            "minimist": {
                "name": "minimist",
                "severity": "critical",
                "isDirect": False,
                "via": [
                    {
                        "source": 1_097_678,
                        "name": "minimist",
                        "title": "Prototype pollution",
                        "url": "https://github.com/advisories/GHSA-xvch-5gv4-984h",
                        "severity": "critical",
                        "range": "<0.2.4",
                    }
                ],
                "effects": ["mkdirp"],
                "range": "<=0.2.3",
                "nodes": [],
                "fixAvailable": {"name": "mkdirp", "version": "0.5.6", "isSemVerMajor": False},
            },
            "mkdirp": {"name": "mkdirp", "severity": "moderate", "via": ["minimist"], "fixAvailable": True},
        },
        "metadata": {},
    }
)

TRIVY = json.dumps(
    {
        "SchemaVersion": 2,
        "ArtifactName": "shop:1.4",
        "Results": [
            {
                "Target": "shop:1.4 (debian 12.5)",
                "Class": "os-pkgs",
                "Vulnerabilities": [
                    {
                        "VulnerabilityID": "CVE-2024-0001",
                        "PkgName": "libssl3",
                        "InstalledVersion": "3.0.11",
                        "FixedVersion": "3.0.13",
                        "Severity": "HIGH",
                        "Title": "A buffer is read beyond its end",
                        "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2024-0001",
                    },
                    {"VulnerabilityID": "CVE-2024-0002", "PkgName": "zlib", "Severity": "UNKNOWN"},
                ],
            },
            {
                "Target": "Dockerfile",
                "Class": "config",
                "Misconfigurations": [
                    {"ID": "DS002", "Title": "Root", "Severity": "HIGH", "Status": "FAIL", "Resolution": "Add USER"},
                    {"ID": "DS001", "Title": "Tag", "Severity": "MEDIUM", "Status": "PASS"},
                ],
            },
            {
                "Target": "config.env",
                "Class": "secret",
                "Secrets": [
                    {
                        "RuleID": "aws-access-key-id",
                        "Severity": "CRITICAL",
                        "Title": "AWS key",
                        "StartLine": 3,
                        "Match": "AKIA-CANARY",
                    }
                ],
            },
            {"Target": "nothing"},
        ],
    }
)
