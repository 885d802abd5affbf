"""The indexes of the documents name every page, and every link leads somewhere."""

import re
from pathlib import Path

from .helpers import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
WRITTEN = [*ROOT.glob("*.md"), *PAGES, *(ROOT / "examples").glob("*/README.md"), *(ROOT / "deploy").rglob("*.md")]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> set[str]:
    """Where a page leads to, within the repository."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = {link.partition("#")[0] for link in _LINK.findall(text)}
    return {link for link in found if link and not re.match(r"[a-z]+:|/", link)}


def test_both_indexes_name_every_page() -> None:
    named = {(DOCS / link).resolve() for link in links(DOCS / "README.md")}
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    listed = {(DOCS / f"{line}.md").resolve() for tree in trees for line in tree.split("\n") if line and line[0] != ":"}
    pages = {page.resolve() for page in PAGES} - {(DOCS / "README.md").resolve(), (DOCS / "index.md").resolve()}
    assert pages - named == set()
    assert pages - listed == set()


def test_every_link_within_the_repository_leads_somewhere() -> None:
    broken = [f"{page}: {link}" for page in WRITTEN for link in links(page) if not (page.parent / link).exists()]
    assert broken == []
