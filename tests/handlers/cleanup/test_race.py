"""Somebody swaps folders for links while the clean-up walks: nothing outside of the root may go."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from corral.handlers.cleanup.rules import FileRule

from .old import aged, old_file, run

SWAPS = 10_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    old_file(root / "victim" / "canary", "inside")
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Files of the very names that the root has, old enough to go."""
    outside = tmp_path / "outside"
    old_file(outside / "canary", "outside")
    old_file(outside / "deeper" / "canary", "outside")
    for folder in (outside, outside / "deeper"):
        aged(folder)
    return outside


def unharmed(outside: Path) -> bool:
    return [(outside / name).read_text() for name in ("canary", "deeper/canary")] == ["outside", "outside"]


def naive(root: Path) -> None:
    """How not to do it: looks first, and then trusts the path."""
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False):
            for name in os.listdir(entry.path):
                path = os.path.join(entry.path, name)
                if os.path.isfile(path):
                    os.unlink(path)


def swapping_before(call: str, swap: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the folder swapped right before the first call of this function that is about what is in the root."""
    real = getattr(os, call)
    swapped = False

    def wrapped(path: object, *args: object, **options: object) -> object:
        nonlocal swapped
        if not swapped and (call in ("listdir", "scandir") or path in ("victim", "canary")):
            swapped = True
            swap()
        return real(path, *args, **options)

    monkeypatch.setattr(os, call, wrapped)


@pytest.mark.parametrize("call", ["scandir", "stat", "open", "unlink"])
def test_a_link_in_the_place_of_a_folder_at_any_moment_leads_nowhere(
    root: Path, outside: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        (root / "victim").rename(root / "moved")
        (root / "victim").symlink_to(outside)

    rule = FileRule("temp-files", root, older_than=60)
    with monkeypatch.context() as patch:
        swapping_before(call, swap, patch)
        run(rule)
    assert (root / "victim").is_symlink()
    assert unharmed(outside)


def test_the_same_moment_is_fatal_for_whoever_trusts_paths(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        (root / "victim").rename(root / "moved")
        (root / "victim").symlink_to(outside)

    with monkeypatch.context() as patch:
        swapping_before("listdir", swap, patch)
        naive(root)
    assert not (outside / "canary").exists()


def test_ten_thousand_swaps_cost_nothing_outside(root: Path, outside: Path) -> None:
    """One thread swaps a folder and a link as fast as it can; the clean-up runs again and again meanwhile."""
    folder, link, spare = root / "victim", root / "link", root / "spare"
    link.symlink_to(outside)
    done = threading.Event()

    def swap() -> None:
        for _ in range(SWAPS // 2):
            os.rename(folder, spare)
            os.rename(link, folder)  # now the folder's name is a link to the outside
            os.rename(folder, link)
            os.rename(spare, folder)
        done.set()

    rule = FileRule("temp-files", root, older_than=60, folders=False)
    thread = threading.Thread(target=swap)
    thread.start()
    runs = removed = 0
    while runs < 3 or not done.is_set():
        removed += run(rule).removed
        shutil.copy2(outside / "canary", root / f"again-{runs}")  # there is always something to remove
        runs += 1
    thread.join()
    assert removed > 0
    assert unharmed(outside)
    assert run(rule).failed == 0
