"""Payloads as lists show them: the beginning, what is sensitive hidden, also when the text breaks off. Pure."""

import json
import re
from collections.abc import Sequence

from corral.job import Job, Sizes
from corral.monitor.objects import JobRow
from corral.sensitive import HIDDEN, shown
from corral.storage.port import PREVIEW
from corral.timing import Millis

MORE = "…"
REASON = 300

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+|\s+')


def preview(text: str, size: int, sensitive: Sequence[str] = (), *, reveal: bool = False) -> str:
    """The beginning of a document, at most `PREVIEW` characters; "" when nothing of it is there to show."""
    if not text:
        return ""
    whole = len(text.encode("utf-8", "surrogatepass")) >= size
    found, value = _read(text) if whole else (False, None)
    if not found:
        found, value = _mended(text)
        if not found:
            return "" if size > len(text) else HIDDEN
    if not reveal:
        value = shown(value, sensitive)
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return made if whole and len(made) <= PREVIEW else made[: PREVIEW - 1].rstrip("]}") + MORE


def _read(text: str) -> tuple[bool, object]:
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _mended(text: str) -> tuple[bool, object]:
    """What can be read of a document that breaks off: what is open is closed, and a half key or number is left out.

    The values stand under their keys, so that secrets are hidden by their names as in a whole document.
    """
    open_: list[str] = []
    parts: list[str] = []
    at = 0
    safe: tuple[int, tuple[str, ...]] = (0, ())  # so many parts make a document with these brackets closed
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:  # a text that is not closed: its beginning is shown, if it is a value
            last = parts[-1] if parts else "["
            if last in ":[" or (last == "," and open_[-1:] == ["]"]):
                return _closed([*parts, _half(text[at:])], tuple(open_))
            break
        at = token.end()
        word = token[0]
        if word.isspace():
            continue
        if word in "{[":
            open_.append("}" if word == "{" else "]")
        elif word in "}]":
            if not open_:
                return False, None
            open_.pop()
        elif word == ",":  # what stands before it is complete
            safe = (len(parts), tuple(open_))
        parts.append(word)
        if word in "{[}]":
            safe = (len(parts), tuple(open_))
    return _closed(parts[: safe[0]], safe[1])


def _half(text: str) -> str:
    body = re.sub(r"\\(u[0-9a-fA-F]{0,3})?$", "", text[1:])
    return f'"{body}{MORE}"'


def _closed(parts: Sequence[str], open_: Sequence[str]) -> tuple[bool, object]:
    return _read("".join((*parts, *reversed(open_)))) if parts else (False, None)


def job_row(job: Job, now: Millis, *, reveal: bool = False, sensitive: Sequence[str] = ()) -> JobRow:
    """A job in a list. `sensitive`: paths that are hidden beside those that it brings with it."""
    sizes = job.sizes or Sizes(len(job.data.encode()), len((job.result or "").encode()), 0)
    hidden = (*sensitive, *job.options.sensitive)
    reason = job.failed_reason
    return JobRow(
        id=job.id,
        queue=job.queue,
        name=job.name,
        state=job.state,
        created_at=job.created_at,
        run_at=job.run_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        wait_ms=waited(job, now),
        run_ms=ran(job, now),
        attempts_made=job.attempts_made,
        attempts=job.options.attempts,
        crashes=job.crashes,
        priority=job.priority,
        progress=None if job.progress is None else preview(job.progress, sizes.progress, hidden, reveal=reveal),
        worker=job.worker,
        group=job.group,
        fingerprint=job.fingerprint,
        dedup_id=job.dedup_id,
        parent=None if job.parent is None else f"{job.parent.queue}/{job.parent.id}",
        pending_children=job.pending_children,
        schedule=job.schedule,
        tags=job.options.tags,
        trace_id=job.options.trace_id,
        rerun_of=job.options.rerun_of,
        reason=reason if reason is None or len(reason) <= REASON else reason[: REASON - 1] + MORE,
        preview=preview(job.data, sizes.data, hidden, reveal=reveal),
        data_bytes=sizes.data,
        result_bytes=sizes.result,
    )


def waited(job: Job, now: Millis) -> Millis | None:
    """How long it waited, or has waited, from when it was ready; of a retried job nobody knows when that was."""
    ready = job.created_at if job.run_at is None else job.run_at
    if job.started_at is None:
        waits = str(job.state) == "waiting"
        return max(0, now - ready) if waits else None
    if job.attempts_started > 1 and job.run_at is None:
        return None
    return max(0, job.started_at - ready)


def ran(job: Job, now: Millis) -> Millis | None:
    """How long its last attempt took, or takes."""
    if job.started_at is None:
        return None
    if job.finished_at is not None:
        return max(0, job.finished_at - job.started_at)
    return max(0, now - job.started_at) if str(job.state) == "active" else None
