"""Log formats: `console`, `guide`, `logfmt` and `json`; which fields a line has, and how many lines a second.

Whatever a message, a field or an exception contains, one record can neither forge another nor steer a terminal: control
characters are written as escapes, the lines of a traceback are indented, and no line is longer than 8 kB.
"""

import json
import logging
import re
import socket
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from corral.observe.text import cut, cut_bytes, visible
from corral.worker.run import current_job

FORMATS = ("console", "json", "logfmt", "guide")
MAX_LINE = 8_191  #: bytes, without the line feed: 8 kB with it
MAX_STACK_LINES = 60
#: Lines of one kind that one queue may write in a second: beyond it they say nothing new, and cost more than the jobs.
MOST = 100
_SAMPLED = frozenset({"job.started", "job.completed"})

#: What every record carries; the rest came in as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEVELS = {"WARNING": "warn"}
_COLOURS = {"debug": "2", "info": "32", "warn": "33", "error": "31", "critical": "1;31"}
#: The guides write camelCase; the structured formats have one spelling for machines.
_SNAKE = {"jobId": "job_id", "workerId": "worker_id"}
#: What holds for every line of the process; see `bind`.
_bound: dict[str, object] = {}
_CAMEL = {snake: camel for camel, snake in _SNAKE.items()}
_BARE = re.compile(r"[^\s\"=\\\x00-\x1f]+")


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What the caller passed as `extra`, in the order it was passed; below the job that is being run, if one is.

    Fields without a value are left out.
    """
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD and value is not None}
    job = current_job.get()
    if job is None or "jobId" in given or "job_id" in given:
        return {**given, **_trace()}
    bound = {"jobId": job.id, "queue": job.queue, "job": job.name, "attempt": job.attempts_made + 1}
    told = job.options.trace_id
    return {**bound, **given, **({"trace_id": told} if told else {}), **_trace()}


def _trace() -> dict[str, object]:
    """The span in which the line is written, where the application uses OpenTelemetry."""
    module = sys.modules.get("opentelemetry.trace")
    if module is None:
        return {}
    context = module.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def bind(**fields: object) -> None:
    """Have every structured line of this process say this too: which worker it is, say. None takes a field away."""
    _bound.update(fields)
    for name in [name for name, value in _bound.items() if value is None]:
        del _bound[name]


def level_of(record: logging.LogRecord) -> str:
    """The level in the words of the guides: debug, info, warn, error, critical."""
    return _LEVELS.get(record.levelname, record.levelname.lower())


def quoted(value: object) -> str:
    """A value as logfmt writes it: bare, or in quotes with escapes when it has a space, a quote, `=` or a control."""
    text = _text(value)
    if _BARE.fullmatch(text) and visible(text) == text:
        return text
    # The text's own backslashes first, so that an escape written here cannot be mistaken for one of them.
    return '"' + visible(text.replace("\\", "\\\\")).replace('"', '\\"') + '"'


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    return str(value)


def pairs(fields: Mapping[str, object]) -> str:
    """`key=value` for each field, with a space between."""
    return " ".join(f"{_key(key)}={quoted(value)}" for key, value in fields.items())


def _key(key: str) -> str:
    return re.sub(r"[\s=\"]", "_", visible(str(key))) or "_"


class Lines(logging.Formatter):
    """For people: `2025-06-19 10:30:45.123 info: Job added to queue queue=send-email jobId=123`, tracebacks below."""

    hidden = frozenset({"event", "stack", "trace_id", "span_id"})

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self.colour = colour

    def clock(self, record: logging.LogRecord) -> str:
        """The local time, to the millisecond."""
        return (
            datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S.")
            + f"{int(record.msecs):03d}"
        )

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """What stands behind the message."""
        return {_CAMEL.get(key, key): value for key, value in extras(record).items() if key not in self.hidden}

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        words = [f"{level_of(record)}: {visible(record.getMessage())}"]
        if fields:
            words.append(pairs(fields))
        line = cut_bytes(f"{self.clock(record)} {' '.join(words)}", MAX_LINE - 16)
        if self.colour:
            level = level_of(record)
            line = line.replace(f" {level}:", f" \x1b[{_COLOURS.get(level, '0')}m{level}\x1b[0m:", 1)
        # Four spaces: no line of a traceback can pass for a record, whatever the exception says.
        return "\n".join((line, *("    " + cut_bytes(row, MAX_LINE - 4) for row in stack_lines(record))))


class GuideLines(Lines):
    """The line as the platform guides print it: whole seconds, and only the fields they name."""

    hidden = Lines.hidden | {"job"}

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """As in the guides: an application's own line names the job that runs by its id alone."""
        own = vars(record)
        shown = super().fields(record)
        return {key: value for key, value in shown.items() if key == "jobId" or key in own or _SNAKE.get(key) in own}

    def clock(self, record: logging.LogRecord) -> str:
        """The local time, to the second."""
        return datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class Structured(logging.Formatter):
    """For machines: one JSON object, or one line of logfmt, per record."""

    def __init__(self, style: str, *, service: str = "", env: str = "") -> None:
        super().__init__()
        self._format_name = style
        self._service = {"service": service} if service else {}
        self._env = {"env": env} if env else {}
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        base = self._base(record)
        given = {_SNAKE.get(key, key): value for key, value in extras(record).items() if key != "event"}
        # A field may not pass for one of the record's own: `extra={"level": "info"}` becomes `level_`.
        fields = {
            **base,
            **{f"{key}_" if key in base else key: value for key, value in given.items()},
            **failure(record),
        }
        if self._format_name == "logfmt":
            return cut_bytes(pairs(fields), MAX_LINE)
        return one_object(fields, keep=tuple(base))

    def _base(self, record: logging.LogRecord) -> dict[str, object]:
        moment = datetime.fromtimestamp(record.created, UTC)
        event = getattr(record, "event", None)
        return {
            "ts": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z",
            "level": level_of(record),
            **({"event": _text(event)} if event is not None else {}),
            "msg": record.getMessage(),
            "logger": record.name,
            **self._service,
            **self._env,
            "host": self._host,
            "pid": record.process,
            **_bound,
        }


def failure(record: logging.LogRecord) -> dict[str, object]:
    """The exception of a record as fields."""
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    return {"error_type": type(error).__name__, "error": str(error), "stack": "\n".join(stack_lines(record))}


def stack_lines(record: logging.LogRecord) -> list[str]:
    """The traceback, made safe line by line; of a very long one its end, which says what happened."""
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1]))
    else:
        # A handler's traceback comes as text: it may have been written by another process.
        text = _text(getattr(record, "stack", None) or "")
    rows = text.splitlines()
    left_out = len(rows) - MAX_STACK_LINES
    kept = rows if left_out <= 0 else [f"… {left_out} lines left out …", *rows[-MAX_STACK_LINES:]]
    return [visible(row) for row in kept]


def one_object(fields: Mapping[str, object], *, keep: tuple[str, ...]) -> str:
    """The fields as JSON on one line of at most 8 kB: long texts are shortened first, then all but `keep` left out."""
    text = _json(fields)
    for limit in (2_000, 500, 100):
        if len(text) <= MAX_LINE:
            return text
        text = _json({**{key: _short(key, value, limit) for key, value in fields.items()}, "truncated": True})
    if len(text) <= MAX_LINE:
        return text
    return _json({**{key: _short(key, fields[key], 100) for key in keep}, "truncated": True})


def _short(key: str, value: object, limit: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _text(value)
    return text[-limit:] if key == "stack" else cut(text, limit)


def _json(fields: Mapping[str, object]) -> str:
    # ASCII only: a terminal that shows the log gets no control character, not even one of the upper half.
    try:
        text = json.dumps(fields, default=str, allow_nan=False)
    except (TypeError, ValueError):  # NaN, a circular value, keys that are no text: words are better than no line
        text = json.dumps({key: str(value) for key, value in fields.items()})
    return text.replace("\x7f", "\\u007f")


class Sampler(logging.Filter):
    """Lets through so many lines about jobs of one queue in a second. The next one says how many were left out."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most
        #: by queue and event: the second, the lines in it, and those left out since one was let through
        self._counts: dict[tuple[str, str], tuple[int, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        event = getattr(record, "event", None)
        if event not in _SAMPLED:
            return True
        key = str(getattr(record, "queue", "")), str(event)
        second, lines, left_out = self._counts.get(key, (0, 0, 0))
        if int(record.created) != second:
            second, lines = int(record.created), 0
        if lines >= self._most:
            self._counts[key] = second, lines, left_out + 1
            return False
        self._counts[key] = second, lines + 1, 0
        if left_out:
            record.left_out = left_out
        return True


def formatter(
    style: str, *, stream: TextIO, service: str = "", env: str = "", colour: bool = True
) -> logging.Formatter:
    """The formatter of this name, with colours only on a terminal."""
    match style:
        case "console":
            return Lines(colour=colour and stream.isatty())
        case "guide":
            return GuideLines()
        case _:
            return Structured(style, service=service, env=env)


def set_up(style: str, level: str, *, service: str = "", env: str = "", colour: bool = True) -> None:
    """Send every log record of the process to standard output in this format. Replaces handlers set up before."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter(style, stream=sys.stdout, service=service, env=env, colour=colour))
    handler.addFilter(Sampler())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
