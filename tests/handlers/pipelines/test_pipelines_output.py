"""What commands print: lines, secrets, entries of a log."""

from pathlib import Path

import pytest

from corral.errors import StorageUnavailableError
from corral.handlers.pipelines.output import MAX_ENTRY, MAX_LINE, Lines, Mask, Output, entries


def lines(*chunks: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    cutter = Lines(Mask(secrets))
    found = [line for chunk in chunks for line in cutter.feed(chunk)]
    return [*found, *cutter.feed(b"", last=True)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"on", b"e\ntw", b"o"), ["one", "two"]),
        ((b"one\r\ntwo\r\n",), ["one", "two"]),
        ((b"10 %\r50 %\r100 %\n",), ["100 %"]),
        (("grün\n".encode()[:3], "grün\n".encode()[3:]), ["grün"]),
        ((b"\xff\xfe\n",), ["\ufffd\ufffd"]),
        ((b"\x1b[31mred\x1b[0m\n",), ["red"]),
        ((b"\x1b]0;title\x07text\n",), ["text"]),
        ((b"a\x00b\x08c\n",), ["abc"]),
        ((b"\n\n",), ["", ""]),
        ((), []),
    ],
)
def test_bytes_become_lines_of_plain_text(chunks: tuple[bytes, ...], expected: list[str]) -> None:
    assert lines(*chunks) == expected


def test_a_line_without_end_is_cut_and_nothing_of_it_is_lost() -> None:
    found = lines(*[b"x" * 3_000] * 10)

    assert "".join(found) == "x" * 30_000
    assert max(map(len, found)) == MAX_LINE


def test_secrets_do_not_show() -> None:
    assert lines(b"token is hunter2hunter2, ok\n", secrets=("hunter2hunter2",)) == ["token is ***, ok"]


def test_a_secret_in_two_chunks_does_not_show_either() -> None:
    assert lines(b"token is hunter2", b"hunter2, ok\n", secrets=("hunter2hunter2",)) == ["token is ***, ok"]


@pytest.mark.parametrize("before", [0, 1, 7_990, 8_000, 8_013, 8_014, 8_020, 15_999])
def test_a_secret_where_a_line_without_end_is_cut_does_not_show(before: int) -> None:
    text = b"x" * before + b"hunter2hunter2" + b"y" * 20_000
    chunks = [text[start : start + 100] for start in range(0, len(text), 100)]

    found = "".join(lines(*chunks, secrets=("hunter2hunter2",)))

    assert found == "x" * before + "***" + "y" * 20_000


def test_a_secret_that_contains_another_one_is_masked_as_a_whole() -> None:
    assert lines(b"abcdefgh abcd\n", secrets=("abcd", "abcdefgh")) == ["*** ***"]


def test_a_very_short_secret_masks_nothing() -> None:
    assert lines(b"a banana\n", secrets=("a", "")) == ["a banana"]


def test_a_mask_says_nothing_about_what_it_masks() -> None:
    assert "hunter2" not in repr(Mask(["hunter2hunter2"]))


def test_entries_hold_whole_lines_and_are_never_too_long() -> None:
    given = [f"{number} " + "x" * 900 for number in range(30)]

    made = list(entries(given))

    assert "\n".join(made).split("\n") == given
    assert max(map(len, made)) <= MAX_ENTRY
    assert len(made) == 4


async def test_everything_is_in_the_file_and_the_log_says_where_the_rest_is(tmp_path: Path) -> None:
    logged: list[str] = []

    async def log(entry: str) -> None:
        logged.append(entry)

    async with Output(log, tmp_path / "build.log", Mask(), max_log=25) as output:
        for number in range(10):
            output.feed(f"line number {number}\n".encode())

    assert (tmp_path / "build.log").read_text().splitlines() == [f"line number {number}" for number in range(10)]
    assert "\n".join(logged).splitlines() == ["line number 0", "line number 1", "… the rest is in build.log"]
    assert output.printed == 140


async def test_a_log_that_cannot_be_written_stops_no_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def log(entry: str) -> None:
        raise StorageUnavailableError("the store is away")

    async with Output(log, tmp_path / "build.log", Mask(), max_log=1_000) as output:
        output.feed(b"one\n")

    assert (tmp_path / "build.log").read_text() == "one\n"
    assert "the store is away" in caplog.text
