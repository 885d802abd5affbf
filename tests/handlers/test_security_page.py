"""The page about what holds: every line of it has tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "internals" / "security-of-handlers.md"
LINES = {
    line.split("|")[1].strip(): line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| S-")
}


def test_all_eight_lines_are_there() -> None:
    assert list(LINES) == [f"S-{number}" for number in range(40, 48)]


def test_every_line_leads_to_tests() -> None:
    for name, line in LINES.items():
        targets = re.findall(r"`([\w/]+\.py)`", line)
        assert targets, name
        for target in targets:
            assert "def test_" in (ROOT / "tests" / "handlers" / target).read_text(encoding="utf-8"), target


def test_the_numbers_are_not_too_high() -> None:
    from tests.handlers.kit.test_web_addresses import NAMES_THAT_LEAD_INSIDE, NOT_PUBLIC, URLS_REFUSED_UNSEEN
    from tests.handlers.test_security_reports import HOSTILE

    assert len(NOT_PUBLIC) + len(URLS_REFUSED_UNSEEN) + len(NAMES_THAT_LEAD_INSIDE) >= 140
    assert len(HOSTILE) >= 70
