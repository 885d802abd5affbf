"""Log formats, M-TS-32 to 34, and S-50: nothing that is logged can forge a line or steer a terminal."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime

import pytest

from corral.cli.logs import FORMATS, MAX_LINE, formatter, set_up
from corral.job import Job, JobState
from corral.worker.run import current_job

#: 2025-06-19 10:30:45.123 in the machine's zone, as the guides' lines have it.
MOMENT = datetime(2025, 6, 19, 10, 30, 45, 123_000).astimezone().timestamp()  # the zone is the point

HOSTILE = (
    "two\nlines",
    "carriage\rreturn",
    "2025-06-19 10:30:45 info: forged\n2025-06-19 10:30:45 info: forged again",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b2J",
    "nul\x00",
    "back\x08\x08\x08space",
    "line\u2028separator\u2029",
    "\u202egnp.exe",
    "\x7f\x85",
    "half \ud800 pair",
)


def record(
    message: str,
    extra: Mapping[str, object] | None = None,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.getLogger("corral.queue").makeRecord(
        "corral.queue", level, __file__, 1, message, (), info, extra=dict(extra or {})
    )
    made.created = MOMENT
    made.msecs = 123
    return made


def written(style: str, *args: object, **kwargs: object) -> str:
    return formatter(style, stream=io.StringIO()).format(record(*args, **kwargs))  # type: ignore[arg-type]


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.fixture
def running_job() -> Iterator[None]:
    job = Job(id="123", queue="send-email", name="welcome-email", state=JobState.ACTIVE, data="{}", attempts_made=1)
    token = current_job.set(job)
    yield
    current_job.reset(token)


# -- the guides' lines -------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-32")
def test_m_ts_32_an_added_job_is_logged_as_in_the_guide() -> None:
    extra = {"event": "job.added", "queue": "send-email", "job": "welcome-email", "jobId": "123"}
    assert written("guide", "Job added to queue", extra) == (
        "2025-06-19 10:30:45 info: Job added to queue queue=send-email jobId=123"
    )


@pytest.mark.usefixtures("running_job")
@pytest.mark.mission("M-TS-33")
def test_m_ts_33_a_handlers_own_line_carries_the_id_of_its_job() -> None:
    assert written("guide", "Processing email job", {"to": "user@example.com"}) == (
        "2025-06-19 10:30:45 info: Processing email job jobId=123 to=user@example.com"
    )


@pytest.mark.usefixtures("running_job")
@pytest.mark.mission("M-TS-34")
def test_m_ts_34_a_handlers_line_without_fields_carries_the_id_alone() -> None:
    assert written("guide", "Email sent successfully") == (
        "2025-06-19 10:30:45 info: Email sent successfully jobId=123"
    )


def test_the_console_adds_milliseconds_and_the_jobs_name() -> None:
    extra = {"event": "job.added", "queue": "send-email", "job": "welcome-email", "jobId": "123"}
    assert written("console", "Job added to queue", extra) == (
        "2025-06-19 10:30:45.123 info: Job added to queue queue=send-email job=welcome-email jobId=123"
    )


@pytest.mark.usefixtures("running_job")
def test_the_console_says_which_job_runs_and_which_attempt_it_is() -> None:
    assert written("console", "Hello").endswith("info: Hello jobId=123 queue=send-email job=welcome-email attempt=2")


@pytest.mark.usefixtures("running_job")
def test_a_line_about_another_job_is_not_mistaken_for_one_about_the_running_job() -> None:
    extra = {"queue": "reports", "jobId": "7"}
    assert written("console", "Job added to queue", extra).endswith("Job added to queue queue=reports jobId=7")


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "critical"),
    ],
)
def test_levels_are_lower_case_words(level: int, word: str) -> None:
    assert f" {word}: x" in written("guide", "x", level=level)


def test_a_level_is_coloured_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    line = formatter("console", stream=Terminal()).format(record("x", level=logging.ERROR))
    assert " \x1b[31merror\x1b[0m: x" in line
    assert "\x1b" not in formatter("console", stream=Terminal(), colour=False).format(record("x", level=logging.ERROR))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("new\nline", '"new\\nline"'),
        ("", '""'),
        (5, "5"),
        (0.25, "0.25"),
        (True, "true"),
        ("Ærøskøbing", "Ærøskøbing"),
        (["a", 1], '"[\\"a\\",1]"'),
    ],
)
def test_values_are_quoted_when_they_need_it(value: object, shown: str) -> None:
    assert written("guide", "x", {"key": value}).endswith(f"x key={shown}")


def test_a_field_without_a_value_is_left_out() -> None:
    assert written("guide", "x", {"stack": None, "error": None}).endswith("info: x")


def test_a_traceback_stands_indented_below_its_line() -> None:
    first, *rest = written("guide", "Job failed", error=raised(ValueError("boom"))).splitlines()
    assert first == "2025-06-19 10:30:45 info: Job failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: boom"


def test_a_traceback_from_another_process_is_shown_the_same_way() -> None:
    extra = {"error": "ValueError: boom", "stack": "Traceback:\n  line\nValueError: boom"}
    assert written("guide", "Job failed", extra).splitlines()[1:] == [
        "    Traceback:",
        "      line",
        "    ValueError: boom",
    ]


# -- for machines ------------------------------------------------------------------------------------------------------


def test_json_is_one_object_a_line_with_the_documented_fields() -> None:
    extra = {"event": "job.added", "queue": "send-email", "job": "welcome-email", "jobId": "123", "wait_ms": 5}
    entry = json.loads(written("json", "Job added to queue", extra))
    moment = datetime.fromtimestamp(MOMENT).astimezone()
    assert datetime.fromisoformat(entry.pop("ts")) == moment
    assert entry.pop("host")
    assert entry.pop("pid") > 0
    assert entry == {
        "level": "info", "event": "job.added", "msg": "Job added to queue", "logger": "corral.queue",
        "queue": "send-email", "job": "welcome-email", "job_id": "123", "wait_ms": 5,
    }  # fmt: skip


def test_json_tells_an_exception_in_three_fields() -> None:
    entry = json.loads(written("json", "Job failed", error=raised(ValueError("boom"))))
    assert (entry["error_type"], entry["error"]) == ("ValueError", "boom")
    assert entry["stack"].startswith("Traceback")


@pytest.mark.usefixtures("running_job")
def test_json_names_the_job_that_runs() -> None:
    entry = json.loads(written("json", "Hello"))
    assert {key: entry[key] for key in ("queue", "job", "job_id", "attempt")} == {
        "queue": "send-email", "job": "welcome-email", "job_id": "123", "attempt": 2,
    }  # fmt: skip


def test_json_says_which_service_in_which_environment() -> None:
    made = formatter("json", stream=sys.stdout, service="teamspark", env="production")
    entry = json.loads(made.format(record("x")))
    assert (entry["service"], entry["env"]) == ("teamspark", "production")


def test_a_field_cannot_pass_for_one_of_the_records_own() -> None:
    entry = json.loads(written("json", "x", {"level": "error", "ts": "never"}))
    assert (entry["level"], entry["level_"], entry["ts_"]) == ("info", "error", "never")


def test_logfmt_has_the_same_fields_as_json() -> None:
    line = written("logfmt", "Job added to queue", {"event": "job.added", "jobId": "123"})
    assert re.match(r"ts=\S+Z level=info event=job\.added msg=\"Job added to queue\" logger=corral\.queue ", line)
    assert line.endswith(" job_id=123")


def test_what_json_cannot_say_is_said_in_words() -> None:
    entry = json.loads(written("json", "x", {"share": float("nan"), "pair": {(1, 2): "x"}}))
    assert (entry["share"], entry["pair"]) == ("nan", "{(1, 2): 'x'}")


# -- S-50 --------------------------------------------------------------------------------------------------------------

SAFE = re.compile(r"[\x20-\x7e\xa0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\U0010ffff]*")


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
def test_s_50_a_message_and_a_field_stay_on_their_line(style: str, text: str) -> None:
    line = written(style, text, {"reason": text, text: "key"})
    assert SAFE.fullmatch(line), ascii(line)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
def test_s_50_an_exception_cannot_forge_a_record(style: str, text: str) -> None:
    first, *rest = written(style, "Job failed", error=raised(ValueError(text))).split("\n")
    assert all(SAFE.fullmatch(row) for row in (first, *rest))
    assert all(row.startswith("    ") for row in rest)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("char", ["x", "ø", "🧹", "\x1b", "\n"])
def test_s_50_no_line_is_longer_than_eight_kilobytes(style: str, char: str) -> None:
    extra = {f"field{number}": char * 3_000 for number in range(20)}
    lines = written(style, char * 20_000, extra, error=raised(ValueError(char * 20_000))).split("\n")
    assert max(len(line.encode()) for line in lines) <= MAX_LINE


def test_s_50_a_shortened_json_line_is_still_json_and_says_so() -> None:
    entry = json.loads(written("json", "x" * 20_000, {f"field{number}": "y" * 3_000 for number in range(200)}))
    assert entry["truncated"] is True
    assert entry["level"] == "info"


def test_s_50_a_very_long_traceback_keeps_its_end() -> None:
    stack = "\n".join(f"line {number}" for number in range(1_000))
    rows = written("guide", "Job failed", {"stack": stack}).splitlines()
    assert rows[1] == "    … 940 lines left out …"
    assert rows[-1] == "    line 999"
    assert len(rows) == 62


# -- setting up --------------------------------------------------------------------------------------------------------


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield root
    root.handlers = handlers
    root.setLevel(level)


def test_every_logger_of_the_process_goes_to_standard_output(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("guide", "info")
    set_up("guide", "info")  # a second time replaces the first: no line comes twice
    logging.getLogger("teamspark").info("Email sent successfully", extra={"jobId": "123"})
    logging.getLogger("teamspark").debug("not shown")
    out, err = capsys.readouterr()
    assert re.fullmatch(r"[-\d]+ [:\d]+ info: Email sent successfully jobId=123\n", out)
    assert err == ""
