"""Kinds of failures: what belongs together, what does not, and what a kind may never depend on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corral.errors import CorralError, JobTimeoutError
from corral.fingerprint import failure_of, frames_of, normalised
from corral.outcome import Failure

ROOT = Path(__file__).resolve().parents[2]


class CardError(Exception):
    """One of an application."""


def charge(order: int) -> None:
    raise CardError(f"order {order} was declined")


def refund(order: int) -> None:
    raise CardError(f"order {order} was declined")


def caught(call: object, *arguments: object) -> BaseException:
    try:
        call(*arguments)  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("order 4711 was declined", "order # was declined"),
        ("took 3.25 s, 1,024 bytes, -7, 6.02e23", "took # s, # bytes, #, #"),
        ("no user 3f2504e0-4f89-41d3-9a0c-0305e82c3301", "no user #"),
        ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8 not found", "commit # not found"),
        ("<Car object at 0x7f3bb1c2d4e0>", "<Car object at #>"),
        ("charge ch_3MmlLrLkdIwHu7ix0uE7 failed", "charge # failed"),
        ("unknown key 'colour of the sky'", "unknown key <text>"),
        ('expected "a" but got `b`', "expected <text> but got <text>"),
        ("can't reach it, so it isn't there", "can't reach it, so it isn't there"),
        ("due 2026-03-29T02:30:00+01:00, now 12:01:59", "due <time>, now <time>"),
        ("mail to ada@example.com bounced", "mail to <email> bounced"),
        ("10.0.0.17:6379 refused", "<address> refused"),
        ("fe80::1ff:fe23:4567:890a is gone", "<address> is gone"),
        ("GET https://api.example.com/v1/orders/7?x=1 gave 503", "GET <url> gave #"),
        ("[Errno 2] No such file: /srv/app/data/report-7.csv", "[Errno #] No such file: <path>"),
        (r"cannot open C:\Users\ada\mail.txt", "cannot open <path>"),
        ("5 MB/s is too slow for utf8", "# MB/s is too slow for utf#"),
        ("  two\n   lines ", "two lines"),
        ("", ""),
    ],
)
def test_what_differs_from_job_to_job_is_left_out_of_a_message(message: str, kind: str) -> None:
    assert normalised(message) == kind


def test_a_long_message_is_cut() -> None:
    assert len(normalised("far too much " * 1_000)) == 200


def test_the_same_failure_of_two_jobs_is_one_kind() -> None:
    first, second = (failure_of(caught(charge, order)) for order in (17, 4_711))
    assert first == second
    assert (first.type, first.message) == (f"{__name__}.CardError", "order # was declined")


def test_where_it_happened_tells_kinds_apart() -> None:
    assert failure_of(caught(charge, 1)).fingerprint != failure_of(caught(refund, 1)).fingerprint


def test_the_type_and_the_message_tell_kinds_apart() -> None:
    kinds = [CardError("declined"), CardError("expired"), ValueError("declined")]
    assert len({failure_of(error).fingerprint for error in kinds}) == 3


def test_a_group_of_one_is_what_is_in_it_and_a_larger_one_the_set_of_its_types() -> None:
    error = caught(charge, 1)
    assert failure_of(BaseExceptionGroup("tasks", [error])) == failure_of(error)
    several = failure_of(ExceptionGroup("tasks", [ValueError(1), KeyError(2), ValueError(3)]))
    assert several.type == "ExceptionGroup[KeyError, ValueError]"


def test_the_interpreters_frames_and_corrals_own_do_not_count() -> None:
    mine = f"{__name__}:test_the_interpreters_frames_and_corrals_own_do_not_count.<locals>.broken"

    def broken() -> None:
        json.loads("{")

    assert frames_of(caught(broken)) == (f"{__name__}:caught", mine)


def test_recursion_counts_once_however_deep_it_went() -> None:
    def down(levels: int) -> None:
        if not levels:
            raise RecursionError("too deep")
        down(levels - 1)

    assert failure_of(caught(down, 3)) == failure_of(caught(down, 30))


def test_an_error_without_a_traceback_has_a_kind_too() -> None:
    assert failure_of(JobTimeoutError(5)) == failure_of(JobTimeoutError(7))
    assert failure_of(JobTimeoutError(5)).message == "timed out after # s"


class Messenger(CorralError):
    """Stands for an exception that was raised in another process."""

    type_name = "shop.errors.OutOfStock"
    trace = "Traceback (most recent call last): …"
    frames = ("shop.orders:reserve",)

    def is_a(self, kind: type[BaseException]) -> bool:
        return False


def test_an_exception_of_another_process_is_known_by_what_it_was_there() -> None:
    failure = failure_of(Messenger("3 left"))
    assert (failure.type, failure.message) == ("shop.errors.OutOfStock", "# left")
    Messenger.frames = ("shop.orders:ship",)
    assert failure_of(Messenger("3 left")).fingerprint != failure.fingerprint


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")


def test_an_exception_that_cannot_be_printed_has_a_kind() -> None:
    assert failure_of(Unspeakable()).message == "(it has no readable text)"


def test_a_kind_can_be_stored_whatever_its_message_holds() -> None:
    assert failure_of(ValueError("half \ud83d pair \x1b[31m")).message.encode().isascii() is False


APPLICATION = '''
"""An application of one file."""
from corral.fingerprint import failure_of


def ship(order):
    {extra}raise KeyError(order)


def failure(order):
    try:
        ship(order)
    except KeyError as error:
        found = failure_of(error)
        return [found.fingerprint, found.type, found.message]


if __name__ == "__main__":
    import json
    print(json.dumps(failure(7)))
'''


def kind_in(folder: Path, *command: str, extra: str = "") -> Failure:
    folder.mkdir(parents=True)
    (folder / "shop.py").write_text(APPLICATION.format(extra=extra))
    environment = {"PYTHONPATH": f"{ROOT / 'src'}", "PYTHONHASHSEED": "random", "PYTHONWARNINGS": "error"}
    run = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return Failure(*json.loads(run.stdout))


def test_a_kind_is_the_same_in_every_process_folder_and_release_and_as_main_file_or_module(tmp_path: Path) -> None:
    main = kind_in(tmp_path / "here", "shop.py")
    moved = kind_in(tmp_path / "there" / "deeper", "shop.py", extra="order = int(order)\n    ")
    imported = kind_in(tmp_path / "as-module", "-c", "import json, shop; print(json.dumps(shop.failure(8)))")
    assert main == moved
    assert main == imported
    assert (main.type, main.message) == ("KeyError", "#")
