"""What may be typed next in the search box. Pure."""

import re
from collections.abc import Container, Iterable

from msgspec import Struct

from corral.monitor.grammar import DOCUMENTS, FIELDS, WORDS
from corral.monitor.objects import JobRow

#: The most suggestions of one answer.
MOST = 20
#: Words that are remembered.
REMEMBERED = 2_000
_TYPED = re.compile(r"-?([A-Za-z_][\w.]*:)?(?:[^\s\",]*,)*([^\s\",]*)$")


class Vocabulary(Struct, frozen=True, kw_only=True):
    """Words that occur in this store."""

    queues: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Heard:
    """Words of jobs that were shown lately: nobody goes through a store to complete what is being typed."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, str, str], None] = {}  #: (queue, field, word), the latest last

    def note(self, jobs: Iterable[JobRow]) -> None:
        """These were shown."""
        for job in jobs:
            said = [("name", job.name), *(("tag", tag) for tag in job.tags)]
            said += [(field, word) for field, word in (("group", job.group), ("schedule", job.schedule)) if word]
            for field, word in said:
                key = (job.queue, field, word)
                self._words.pop(key, None)
                self._words[key] = None
        while len(self._words) > REMEMBERED:
            del self._words[next(iter(self._words))]

    def of(self, field: str, queues: Container[str]) -> tuple[str, ...]:
        """What was heard in these queues."""
        return tuple(sorted({word for queue, one, word in self._words if one == field and queue in queues}))


class Completion(Struct, frozen=True):
    """Put `text` in place of what stands from `start` to `end`."""

    text: str
    kind: str  #: field | value
    start: int
    end: int


def completions(text: str, at: int, words: Vocabulary) -> list[Completion]:
    """What could stand at this place: fields, or values of the field before it."""
    before = text[: max(0, at)]
    typed = _TYPED.search(before)
    if typed is None:
        return []
    start, end = typed.start(2), len(before)
    field = (typed[1] or "").removesuffix(":")
    if field:
        known = {**WORDS, "queue": words.queues, "name": words.names, "worker": words.workers}
        known |= {"schedule": words.schedules, "tag": words.tags, "tags": words.tags, "group": words.groups}
        return _offer(known.get(field, ()), typed[2], "value", start, end)
    fields = [f"{one}:" for one in sorted(FIELDS)] + [f"{one}." for one in DOCUMENTS]
    return _offer(fields, typed[2].removeprefix("-"), "field", end - len(typed[2].removeprefix("-")), end)


def _offer(words: Iterable[str], typed: str, kind: str, start: int, end: int) -> list[Completion]:
    fitting = [word for word in words if word.casefold().startswith(typed.casefold()) and word != typed]
    quoted = (f'"{word}"' if re.search(r"[\s,\"]", word) else word for word in fitting)
    return [Completion(word, kind, start, end) for word in quoted][:MOST]
