"""Topics: what a viewer wants to hear of."""

from collections.abc import Iterator
from urllib.parse import unquote

from msgspec import Struct

from corral.errors import ConfigError

#: What tells of everything that the viewer may see.
BOARD = ("counts", "rates", "workers", "schedules", "attention", "operations")
#: Topics of one stream, and how long all of them may be as they stand in the URL.
MOST, LENGTH = 50, 8_000
#: Queues that one stream follows event by event: its id must fit a header.
FOLLOWED = 20


class Topics(Struct, frozen=True, kw_only=True):
    """A viewer's wishes, as they were read."""

    board: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    jobs: frozenset[tuple[str, str]] = frozenset()  #: (queue, id)

    def followed(self) -> frozenset[str]:
        """Queues whose events are read one by one."""
        return self.queues | {queue for queue, _ in self.jobs}


def topics_of(text: str) -> Topics:
    """`counts,queue:mail,job:mail/123,operation:op_1`; a comma or a percent sign in a name is percent-encoded.

    Raises:
        ConfigError: a word that is no topic, none at all, or too many.
    """
    if len(text) > LENGTH:
        raise ConfigError(f"topics have {len(text):,} characters, more than {LENGTH:,}", key="topics")
    words = [word for word in (unquote(part.strip()) for part in text.split(",")) if word]
    if not words:
        raise ConfigError(f"name what you want to hear of: {_known()}", key="topics")
    if len(words) > MOST:
        raise ConfigError(f"one stream has at most {MOST} topics, not {len(words)}", key="topics")
    found = Topics(
        board=frozenset(word for word in words if word in BOARD),
        operations=frozenset(_named(words, "operation")),
        queues=frozenset(_named(words, "queue")),
        jobs=frozenset(_job(word) for word in _named(words, "job")),
    )
    for word in words:
        kind, colon, name = word.partition(":")
        if word not in BOARD and not (kind in ("queue", "job", "operation") and colon and name):
            raise ConfigError(f"{word!r} is no topic; there are {_known()}", key="topics")
    if len(found.followed()) > FOLLOWED:
        raise ConfigError(f"one stream follows at most {FOLLOWED} queues, not {len(found.followed())}", key="topics")
    return found


def _named(words: list[str], kind: str) -> Iterator[str]:
    return (word.partition(":")[2] for word in words if word.startswith(f"{kind}:"))


def _job(word: str) -> tuple[str, str]:
    queue, slash, job_id = word.partition("/")
    if not (queue and slash and job_id):
        raise ConfigError(f"a job is named by queue and id, job:mail/123, not 'job:{word}'", key="topics")
    return queue, job_id


def _known() -> str:
    return ", ".join((*BOARD, "queue:NAME", "job:QUEUE/ID", "operation:ID"))
