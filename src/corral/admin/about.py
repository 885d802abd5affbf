"""The write model's verb about what is said of a queue: a description, and how long a job may wait there."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from corral.admin.base import DeskBase
from corral.admin.hiding import changed
from corral.errors import ConfigError
from corral.monitor.about import KIND, About, about_text, read_about
from corral.storage.records import EntryChange
from corral.timing import Millis, Seconds, to_ms

#: Characters of a description.
DESCRIPTION = 500


class AboutVerbs(DeskBase):
    """What people say about queues. Jobs and workers do not heed it."""

    async def describe(
        self, queue: str, *, description: str | None | UnsetType = UNSET, slo: Seconds | None | UnsetType = UNSET
    ) -> About:
        """Say what a queue is for, and how many seconds its oldest job may wait before that wants attention.

        What is left out stays as it is, None removes it.

        Raises:
            QueueNotFoundError: no such queue.
            ConfigError: a description of more than 500 characters or with control characters, a time not above 0.
        """
        async with self._noting("queue.describe", queue=queue) as note:
            await self.ground.known(queue)
            said: dict[str, object] = {}
            if not isinstance(description, UnsetType):
                said["description"] = _check_description(description or "")
            if not isinstance(slo, UnsetType):
                said["slo_ms"] = None if slo is None else to_ms(slo, "slo", minimum=0.001)
            before, after = await self._say(queue, said)
            note.before, note.after = changed(before, after)
            return after

    async def _say(self, queue: str, said: dict[str, object]) -> tuple[About, About]:
        now = self.ground.store_now()
        while True:  # until nobody else has written in between: two people may say different things at once
            found = await self.storage.entries(KIND, ids=[queue], now=now)
            before = read_about(found).get(queue, About())
            after: About = replace(before, **said)
            if await self._write_about(queue, after, found[0].version if found else 0, now):
                return before, after

    async def _write_about(self, queue: str, about: About, version: int, now: Millis | None) -> bool:
        text = None if about == About() else about_text(about)
        [written] = await self.storage.write_entries(KIND, [EntryChange(id=queue, text=text, version=version)], now=now)
        return written is not None


def _check_description(text: str) -> str:
    if len(text) > DESCRIPTION:
        raise ConfigError(
            f"description must have at most {DESCRIPTION} characters, not {len(text):,}", key="description"
        )
    if any(not (char.isprintable() or char in "\n\t") for char in text):  # a lone surrogate is not printable either
        raise ConfigError("description must have no control characters but line breaks and tabs", key="description")
    return text
