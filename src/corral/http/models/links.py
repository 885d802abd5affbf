"""Addresses of things. Names and ids may have any characters, so every one of them is escaped, slashes too."""

from urllib.parse import quote


def part(text: str) -> str:
    """A name or id as one part of a path. Dots alone would be taken for a folder, so they are escaped as well."""
    made = quote(text.encode("utf-8", "replace"), safe="")
    return made.replace(".", "%2E") if not made.strip(".") else made


def queue_path(queue: str, base: str) -> str:
    """Where a queue is."""
    return f"{base}/queues/{part(queue)}"


def job_path(queue: str, job_id: str, base: str) -> str:
    """Where a job is."""
    return f"{queue_path(queue, base)}/jobs/{part(job_id)}"


def schedule_path(queue: str, key: str, base: str) -> str:
    """Where a schedule is."""
    return f"{queue_path(queue, base)}/schedules/{part(key)}"
