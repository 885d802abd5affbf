"""Addresses of things. Names and ids may have any characters, so every one of them is escaped, slashes too."""

import re
from urllib.parse import quote, unquote

#: A browser takes `.` and `..` for folders, escaped as well: these two are written `%.` and `%..`, and whatever looks
#: like that has one more `%`.
_FOLDER = re.compile(r"%*\.{1,2}")
_MARKED = re.compile(r"%+\.{1,2}")


def part(text: str) -> str:
    """A name or id as one part of a path, also in a browser."""
    marked = f"%{text}" if _FOLDER.fullmatch(text) else text
    return quote(marked.encode("utf-8", "replace"), safe="")


def meant(text: str) -> str:
    """The name or id that a part of a path stands for, when it is decoded."""
    return text[1:] if _MARKED.fullmatch(text) else text


def whole(text: str) -> str:
    """The name or id that `part` has made this of."""
    return meant(unquote(text))


def queue_path(queue: str, base: str) -> str:
    """Where a queue is."""
    return f"{base}/queues/{part(queue)}"


def job_path(queue: str, job_id: str, base: str) -> str:
    """Where a job is."""
    return f"{queue_path(queue, base)}/jobs/{part(job_id)}"


def schedule_path(queue: str, key: str, base: str) -> str:
    """Where a schedule is."""
    return f"{queue_path(queue, base)}/schedules/{part(key)}"
