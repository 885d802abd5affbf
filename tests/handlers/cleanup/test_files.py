"""What goes and what stays below a folder."""

import gzip
import os
import socket
from pathlib import Path

import pytest

from corral.errors import ConfigError
from corral.handlers.cleanup.files import DEEPEST
from corral.handlers.cleanup.rules import SYSTEM, FileRule

from .old import DAY, NOW_MS, age_folders, aged, names, old_file, run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "tmp"
    root.mkdir(parents=True)
    return root


def rule(root: Path, **more: object) -> FileRule:
    return FileRule("temp-files", root, older_than=30 * DAY, **more)  # type: ignore[arg-type]  # what a test varies


def test_old_files_go_and_young_ones_stay(root: Path) -> None:
    old_file(root / "old.csv", "12345", days=31)
    old_file(root / "young.csv", days=29)
    tally = run(rule(root))
    assert (tally.removed, tally.bytes, names(root)) == (1, 5, ["young.csv"])


def test_a_file_of_exactly_the_age_stays(root: Path) -> None:
    old_file(root / "just.csv", days=30)
    assert run(rule(root)).removed == 0


def test_old_folders_go_once_they_are_empty_and_the_root_stays(root: Path) -> None:
    old_file(root / "build-1" / "deep" / "a.o")
    old_file(root / "build-2" / "b.o")
    old_file(root / "build-2" / "young.o", days=1)
    age_folders(root)
    tally = run(rule(root))
    assert (tally.removed, tally.folders, names(root)) == (2, 2, ["build-2", "build-2/young.o"])
    assert root.is_dir()


def test_a_young_folder_stays_although_it_is_empty(root: Path) -> None:
    (root / "just-made").mkdir()
    aged(root / "just-made", days=0)
    assert (run(rule(root)).folders, names(root)) == (0, ["just-made"])


def test_folders_stay_when_the_rule_says_so(root: Path) -> None:
    old_file(root / "a" / "x")
    age_folders(root)
    run(rule(root, folders=False))
    assert names(root) == ["a"]


def test_names_that_do_not_match_and_names_to_keep_stay(root: Path) -> None:
    for name in ("a.log", "b.log", "c.txt", ".gitkeep"):
        old_file(root / name)
    run(rule(root, match=("*.log", ".*"), keep=("b.*", ".gitkeep")))
    assert names(root) == [".gitkeep", "b.log", "c.txt"]


def test_links_are_neither_followed_nor_removed(root: Path, tmp_path: Path) -> None:
    canary = old_file(tmp_path / "outside" / "canary")
    (root / "file-link").symlink_to(canary)
    (root / "folder-link").symlink_to(canary.parent)
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file-link", "folder-link", "dangling"):
        aged(root / name)
    assert run(rule(root)).removed == 0
    assert canary.exists()
    assert names(root) == ["dangling", "file-link", "folder-link"]


def test_a_hard_link_goes_and_the_other_name_stays(root: Path, tmp_path: Path) -> None:
    canary = old_file(tmp_path / "outside" / "canary")
    os.link(canary, root / "second-name")
    assert run(rule(root)).removed == 1
    assert canary.read_text() == "12345"


def test_pipes_and_sockets_stay_and_nobody_waits_for_them(root: Path, tmp_path: Path) -> None:
    os.mkfifo(aged_name := root / "pipe")
    aged(aged_name)
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # the path of a socket may have 107 bytes
        server.bind("socket")
        os.chdir(here)
        aged(root / "socket")
        assert run(rule(root, archive=tmp_path / "archive")).removed == 0
    assert names(root) == ["pipe", "socket"]


@pytest.mark.parametrize("name", ["new\nline", "-rf", "..hidden", "a b", "*", "ünï", "\\", "$(id)"])
def test_odd_names_go_like_any_other(root: Path, name: str) -> None:
    old_file(root / name)
    assert run(rule(root)).removed == 1
    assert names(root) == []


def test_a_name_that_is_no_text_goes_too(root: Path) -> None:
    path = os.fsencode(root) + b"/\xff\xfe"
    with open(path, "wb"):
        os.utime(path, (1, 1))
    said: list[str] = []
    run(rule(root), dry_run=True, said=said)
    assert said == ["would remove '\\udcff\\udcfe' (0 bytes)"]
    assert run(rule(root)).removed == 1


def test_names_in_the_log_cannot_forge_a_line(root: Path) -> None:
    old_file(root / "x\nremoved everything\x1b[31m")
    said: list[str] = []
    run(rule(root), dry_run=True, said=said)
    assert said == ["would remove 'x\\nremoved everything\\x1b[31m' (5 bytes)"]


def test_a_limit_ends_the_run_and_the_next_one_goes_on(root: Path) -> None:
    for number in range(25):
        old_file(root / f"{number % 3}" / f"{number}.csv")
    first, second = run(rule(root), limit=20), run(rule(root), limit=20)
    assert (first.removed, first.more) == (20, True)
    assert (second.removed, second.more) == (5, False)


def test_a_dry_run_counts_what_a_real_one_removes_and_removes_nothing(root: Path, tmp_path: Path) -> None:
    old_file(root / "a" / "b" / "1")
    old_file(root / "a" / "2", "12")
    old_file(root / "young", days=1)
    age_folders(root)
    before = names(root)
    dry = run(rule(root, archive=tmp_path / "archive"), dry_run=True)
    assert names(root) == before
    assert not (tmp_path / "archive").exists()
    real = run(rule(root))
    assert (dry.removed, dry.bytes, dry.folders) == (real.removed, real.bytes, real.folders) == (2, 7, 2)


def test_folders_too_deep_are_left_alone(root: Path) -> None:
    deep = root.joinpath(*["d"] * (DEEPEST + 5))
    old_file(deep / "unreachable")
    old_file(root / "d" / "near")
    assert run(rule(root)).removed == 1
    assert (deep / "unreachable").exists()


def test_what_cannot_be_removed_is_counted_and_the_rest_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        old_file(root / name)
    unlink = os.unlink

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        if path == "b":
            raise PermissionError(13, "Permission denied")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    said: list[str] = []
    tally = run(rule(root), said=said)
    assert (tally.removed, tally.failed, said) == (2, 1, ["cannot remove 'b': Permission denied"])


def test_a_folder_that_is_not_there_is_clean(root: Path) -> None:
    assert run(rule(root / "not-yet")).removed == 0


def test_a_root_that_is_a_link_or_a_file_is_refused(root: Path, tmp_path: Path) -> None:
    canary = old_file(tmp_path / "outside" / "canary")
    (root / "link").symlink_to(canary.parent)
    for path in (root / "link", canary):
        with pytest.raises(ConfigError, match="it is a link or no folder"):
            run(FileRule("temp-files", path, older_than=0))
    assert canary.exists()


@pytest.mark.parametrize("path", sorted(map(str, SYSTEM)))
def test_a_folder_of_the_system_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="is no folder to be emptied"):
        FileRule("temp-files", path, older_than=DAY)


def test_home_the_current_folder_and_what_they_lie_in_are_refused(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    home = root / "people" / "ann"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(root)
    for path in (home, home.parent, root, root.parent, Path()):
        with pytest.raises(ConfigError, match="is no folder to be emptied"):
            FileRule("temp-files", path, older_than=DAY)
    FileRule("temp-files", home / "tmp", older_than=DAY)


def test_a_root_that_climbs_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="must not climb"):
        FileRule("temp-files", root / "a" / ".." / "b", older_than=DAY)


def test_files_that_come_with_an_old_date_stay_when_the_change_counts(root: Path) -> None:
    old_file(root / "unpacked")  # its date says 40 days; it is here since a moment ago
    assert run(rule(root, by="changed")).removed == 0
    assert run(rule(root, by="changed"), now=NOW_MS + 31 * DAY * 1_000).removed == 1


# -- archive -----------------------------------------------------------------------------------------------------------


def test_old_logs_are_archived_before_they_go(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "data" / "archive"
    old_file(root / "app" / "server.log", "GET / 200\n")
    old_file(root / "young.log", days=1)
    tally = run(rule(root, archive=archive))
    [copy] = archive.iterdir()
    assert (tally.removed, tally.archived) == (1, 1)
    assert copy.name.startswith("app-server.log-")
    assert gzip.decompress(copy.read_bytes()) == b"GET / 200\n"
    assert copy.stat().st_mtime == NOW_MS // 1000 - 40 * DAY
    assert names(root) == ["app", "young.log"]


def test_a_run_that_died_after_archiving_leaves_one_copy(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    path = old_file(root / "server.log", "text")
    run(rule(root, archive=archive))
    old_file(path, "text")  # as if it had not been removed
    run(rule(root, archive=archive))
    assert len(list(archive.iterdir())) == 1


def test_files_of_one_name_in_two_folders_have_two_copies(root: Path, tmp_path: Path) -> None:
    for name in ("a/x.log", "a-x.log"):
        old_file(root / name, name)
    run(rule(root, archive=tmp_path / "archive"))
    assert sorted(gzip.decompress(copy.read_bytes()) for copy in (tmp_path / "archive").iterdir()) == [
        b"a-x.log",
        b"a/x.log",
    ]


def test_a_log_stays_when_the_archive_cannot_take_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_file(root / "server.log")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    tally = run(rule(root, archive=tmp_path / "archive"))
    assert (tally.removed, tally.failed, names(root)) == (0, 1, ["server.log"])
    assert list((tmp_path / "archive").iterdir()) == []


def test_an_archive_inside_of_what_is_emptied_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="lies inside of"):
        rule(root, archive=root / "archive")
