"""The columns of every list."""

from corral.cli.cells import Column, plain, share, span
from corral.cli.text import cut

REASON = 60
_MARKS = {0: " ", 1: "·", 2: "▲", 3: "✕"}


def mark(level: object) -> str:
    """How bad it is with a queue, as a sign that needs no colour."""
    return _MARKS.get(level, " ") if isinstance(level, int) else " "


QUEUES = (
    Column("attention", "!", mark),
    Column("queue", "QUEUE"),
    Column("state", "STATE"),
    Column("waiting", "WAITING", plain, True),
    Column("active", "ACTIVE", plain, True, rank=2),
    Column("delayed", "DELAYED", plain, True, rank=4),
    Column("completed", "COMPLETED", plain, True, rank=6),
    Column("failed", "FAILED", plain, True, rank=3),
    Column("oldest_s", "OLDEST", span, True),
    Column("done_per_min", "DONE/MIN", plain, True, rank=5),
    Column("workers", "WORKERS", plain, True),
)
STATS = (
    *QUEUES[1:-2],
    Column("done_per_min", "DONE/MIN", plain, True, rank=1),
    Column("failed_per_min", "FAIL/MIN", plain, True, rank=5),
    Column("failed_rate", "FAILED%", share, True),
    Column("mean_wait_s", "WAIT", span, True),
    Column("mean_run_s", "RUN", span, True),
    QUEUES[-1],
)
JOBS = (
    Column("queue", "QUEUE"),
    Column("id", "ID"),
    Column("name", "NAME"),
    Column("state", "STATE"),
    Column("priority", "PRIO", plain, True, rank=4),
    Column("attempts_made", "TRIES", plain, True, rank=3),
    Column("age_s", "AGE", span, True),
    Column("failed_reason", "REASON", lambda value: cut(plain(value), REASON), rank=1, wrap=True),
    Column("preview", "DATA", rank=2, wrap=True),
)
REACHED = (Column("queue", "QUEUE"), Column("id", "ID"))
SCHEDULES = (
    Column("key", "KEY"),
    Column("queue", "QUEUE"),
    Column("job", "JOB", rank=1),
    Column("when", "WHEN", wrap=True),
    Column("next_at", "NEXT"),
    Column("last_at", "LAST", rank=3),
    Column("fired", "RUNS", plain, True, rank=2),
    Column("state", "STATE"),
)
RUNS = (
    Column("at", "UTC"),
    Column("local", "LOCAL"),
    Column("note", "NOTE", lambda value: plain(value) if value else ""),
)
WORKERS = (
    Column("name", "NAME"),
    Column("host", "HOST", rank=3),
    Column("pid", "PID", str, True, rank=1),
    Column("state", "STATE", rank=1),
    Column("queues", "QUEUES", wrap=True),
    Column("running", "RUNNING", plain, True),
    Column("slots", "SLOTS", plain, True),
    Column("up_s", "UP", span, True),
    Column("seen_s", "SEEN", span, True),
    Column("version", "VERSION", rank=2),
    Column("tags", "TAGS", rank=4, wrap=True),
)
FAILURES = (
    Column("fingerprint", "FINGERPRINT"),
    Column("queue", "QUEUE"),
    Column("jobs", "JOBS", plain, True),
    Column("recent", "RECENT", plain, True, rank=1),
    Column("last_s", "LAST", span, True),
    Column("type", "TYPE"),
    Column("message", "MESSAGE", lambda value: cut(plain(value), REASON), wrap=True),
)
FINDINGS = (
    Column("id", "ID"),
    Column("severity", "SEVERITY"),
    Column("message", "MESSAGE", wrap=True),
    Column("remedy", "REMEDY", rank=1, wrap=True),
    Column("since", "SINCE", rank=2),
    Column("muted_until", "MUTED UNTIL", rank=3),
)
FLOWS = (
    Column("queue", "QUEUE"),
    Column("id", "ID"),
    Column("name", "NAME"),
    Column("state", "STATE"),
    Column("done", "DONE", plain, True),
    Column("failed", "FAILED", plain, True),
    Column("pending", "PENDING", plain, True),
    Column("age_s", "AGE", span, True),
)
OPERATIONS = (
    Column("id", "ID"),
    Column("action", "ACTION"),
    Column("state", "STATE"),
    Column("done", "DONE", plain, True),
    Column("total", "TOTAL", plain, True),
    Column("failed", "FAILED", plain, True),
    Column("skipped", "SKIPPED", plain, True, rank=2),
    Column("by", "BY", rank=1),
    Column("query", "QUERY", rank=3, wrap=True),
    Column("created_at", "BEGUN", rank=2),
)
AUDIT = (
    Column("at", "AT"),
    Column("actor", "WHO"),
    Column("via", "VIA", rank=2),
    Column("action", "WHAT"),
    Column("target", "TARGET", lambda value: target(value)),
    Column("count", "COUNT", plain, True, rank=1),
    Column("outcome", "OUTCOME"),
    Column("reason", "REASON", rank=1, wrap=True),
)
MARKS = (Column("id", "ID"), Column("at", "AT"), Column("label", "LABEL"), Column("by", "BY"), Column("url", "URL"))
TOKENS = (
    Column("id", "ID"),
    Column("name", "NAME"),
    Column("role", "ROLE"),
    Column("queues", "QUEUES"),
    Column("created_at", "CREATED", rank=2),
    Column("expires_at", "EXPIRES"),
    Column("used_at", "USED", rank=1),
)
EVENTS = (Column("at", "AT"), Column("queue", "QUEUE"), Column("type", "EVENT"), Column("id", "ID"))


def target(value: object) -> str:
    """What was acted on, as `queue/job`."""
    return "/".join(str(one) for one in value.values()) if isinstance(value, dict) and value else "–"
