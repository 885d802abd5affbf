"""Names and ids as parts of a path: any text comes back as it was, and no browser takes one for a folder."""

import pytest

from corral.http.models.links import meant, part, whole

TEXTS = (
    "a/b",
    "a b?c#d",
    "100%",
    "%2F",
    "..",
    ".",
    "%..",
    "%.",
    "%%..",
    "...",
    "%25..",
    "~",
    "",
    "ä/ö",
    "x;y",
    '"><i>',
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_part_of_a_path_is_read_as_it_was_written_and_is_no_folder(text: str) -> None:
    written = part(text)
    assert whole(written) == text
    assert "/" not in written
    assert written.lower().replace("%2e", ".") not in (".", "..")


def test_what_looks_like_no_folder_is_left_alone() -> None:
    assert meant("plain") == "plain"
    assert len({part(text) for text in TEXTS}) == len(TEXTS)
