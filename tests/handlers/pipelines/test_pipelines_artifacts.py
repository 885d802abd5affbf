"""What steps leave behind: found by patterns, never outside of the workspace."""

import hashlib
import os
from pathlib import Path

import pytest

from corral.handlers.pipelines.artifacts import MAX_FILES, ArtifactError, keep, matcher


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "dist" / "deep").mkdir(parents=True)
    (folder / "dist" / "app.whl").write_bytes(b"wheel")
    (folder / "dist" / "deep" / "app.js").write_bytes(b"script")
    (folder / "notes.txt").write_bytes(b"notes")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "b/a.txt", False),
        ("**/*.txt", "a.txt", True),
        ("**/*.txt", "b/c/a.txt", True),
        ("dist/**", "dist/a/b.js", True),
        ("dist/**", "dist", False),
        ("dist/**/b.js", "dist/b.js", True),
        ("dist/*/b.js", "dist/a/c/b.js", False),
        ("app-?.whl", "app-1.whl", True),
        ("app-?.whl", "app-10.whl", False),
        ("a.b", "axb", False),
        ("[a].txt", "[a].txt", True),
        ("(x|y)", "x", False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert (matcher([pattern]).fullmatch(path) is not None) is expected


def test_without_patterns_nothing_matches() -> None:
    assert matcher([]).fullmatch("") is None


def test_files_are_copied_with_their_place_size_and_hash(work: Path, tmp_path: Path) -> None:
    kept = keep(work, ["dist/**", "*.txt"], tmp_path / "kept", max_bytes=1_000)

    assert [(file.name, file.size) for file in kept] == [("notes.txt", 5), ("dist/app.whl", 5), ("dist/deep/app.js", 6)]
    assert kept[0].sha256 == hashlib.sha256(b"notes").hexdigest()
    assert (tmp_path / "kept" / "dist" / "deep" / "app.js").read_bytes() == b"script"


def test_a_second_attempt_writes_the_same_files_again(work: Path, tmp_path: Path) -> None:
    first = keep(work, ["**"], tmp_path / "kept", max_bytes=1_000)

    assert keep(work, ["**"], tmp_path / "kept", max_bytes=1_000) == first


@pytest.mark.parametrize("link", ["../secret.txt", "/etc/passwd", "notes.txt", "nowhere"])
def test_links_are_not_followed(work: Path, tmp_path: Path, link: str) -> None:
    (work / "link.txt").symlink_to(link)
    (work / "folder").symlink_to(tmp_path)

    kept = keep(work, ["**/*.txt"], tmp_path / "kept", max_bytes=1_000)

    assert [file.name for file in kept] == ["notes.txt"]


def test_what_is_no_file_is_left_alone(work: Path, tmp_path: Path) -> None:
    os.mkfifo(work / "pipe.txt")

    assert [file.name for file in keep(work, ["*.txt"], tmp_path / "kept", max_bytes=1_000)] == ["notes.txt"]


def test_more_bytes_than_allowed_are_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="more bytes than are allowed"):
        keep(work, ["**"], tmp_path / "kept", max_bytes=12)


def test_more_files_than_allowed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / "work" / f"{number}.txt").touch()

    with pytest.raises(ArtifactError, match="more than 500 files"):
        keep(tmp_path / "work", ["*"], tmp_path / "kept", max_bytes=1_000)


def test_the_repository_itself_is_no_artifact(work: Path, tmp_path: Path) -> None:
    (work / ".git").mkdir()
    (work / ".git" / "config.txt").touch()

    assert [file.name for file in keep(work, ["**/*.txt"], tmp_path / "kept", max_bytes=1_000)] == ["notes.txt"]
