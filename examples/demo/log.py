"""The log: one line for each record, with what it is about after it."""

import logging
from pathlib import Path

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "event", "stack"}


class Lines(logging.Formatter):
    """`2025-06-19 10:30:45 info: Job added to queue queue=send-email job=reminder jobId=123`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s: %(message)s%(fields)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        record.fields = "".join(f" {key}={value}" for key, value in fields.items())
        return super().format(record)


def log_into(file: Path) -> None:
    """Send what corral and the handlers log into a file: the screen is for the demo."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
