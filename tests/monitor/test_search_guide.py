"""The guide on searching has every word of the language, and its examples can be read."""

import re
from pathlib import Path

import pytest

from corral.monitor.grammar import ALIASES, DOCUMENTS, FIELDS, MAX_TERMS, MAX_TEXT, WORDS, parse
from corral.monitor.moments import BYTES, UNITS

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "search.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)
SHAPES = {"a", "b", "field", "word"}  # of the table that says how conditions are written


def test_the_guide_names_every_field_word_and_alias() -> None:
    for word in (*FIELDS, *ALIASES, *(one for some in WORDS.values() for one in some)):
        assert word in CODE, word
    assert all(f"{name}.…" in CODE for name in DOCUMENTS)
    assert f"{MAX_TEXT:,} characters and {MAX_TERMS} conditions" in PAGE
    units = {match[1] for text in CODE for match in re.finditer(r"(?<=\d)([a-z]+)", text)}
    assert (set(UNITS) | set(BYTES)) - {"b"} <= units | set(CODE)


@pytest.mark.parametrize("text", [
    one for one in CODE if re.match(r"-?[a-z_.]+:.", one) and re.split(r"[:.]", one.lstrip("-"))[0] not in SHAPES
    and not one.startswith("index:")
])  # fmt: skip
def test_the_examples_of_the_guide_can_be_read(text: str) -> None:
    assert parse(text, now=1_800_000_000_000).terms
