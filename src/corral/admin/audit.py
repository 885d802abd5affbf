"""The audit log: one entry for each thing that people did or tried to do. Entries are added and never changed."""

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from corral.admin.objects import AuditEntry, AuditPage
from corral.errors import ConfigError, StorageError
from corral.naming import id_bound
from corral.storage.port import Storage
from corral.storage.records import Entry, EntryChange
from corral.timing import Millis

log = logging.getLogger("corral.audit")

#: Where entries stand. Those of added jobs stand apart: a service that adds a hundred a second through the API would
#: push out within minutes who deleted a queue last month.
KIND, ADDED = "audit", "audit-added"
#: So many entries of each are kept, and none longer than so long.
KEEP, KEEP_ADDED, TTL_MS = 100_000, 20_000, 400 * 86_400_000
ADDING = ("job.add", "flow.add")
#: The most entries of one page, and how many one request looks at.
MOST, EXAMINED, SLICE = 500, 5_000, 500

_decode = msgspec.json.Decoder(AuditEntry).decode


class Wanted(Struct, frozen=True, kw_only=True):
    """Which entries are asked for; None is any. An action may end in `*`."""

    actor: str | None = None
    action: str | None = None
    queue: str | None = None
    job: str | None = None
    since: Millis | None = None
    until: Millis | None = None

    def fits(self, entry: AuditEntry) -> bool:
        """Whether an entry is among them; the times are exact here."""
        target = entry.target
        return (
            (self.actor is None or entry.actor.sub == self.actor)
            and (self.action is None or fnmatchcase(entry.action, self.action))
            and (self.queue is None or self.queue in (target.get("queue"), target.get("to_queue")))
            and (self.job is None or self.job == target.get("job") or self.job in entry.ids)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
        )


async def write(storage: Storage, entry: AuditEntry, now: Millis | None) -> None:
    """Add an entry, and tell the log of it.

    What it tells of has happened already: when the store does not take it, it stands in the log as an error, and
    whoever asked for the change gets their answer all the same.
    """
    _tell(entry)
    text = msgspec.json.encode(entry).decode()
    change = EntryChange(id=entry.id, text=text, version=0, ttl_ms=TTL_MS)
    kind, keep = (ADDED, KEEP_ADDED) if entry.action in ADDING else (KIND, KEEP)
    try:
        await storage.write_entries(kind, [change], keep=keep, now=now)
    except StorageError as error:
        log.error("an audit entry could not be stored (%s): %s", error, text)


def _tell(entry: AuditEntry) -> None:
    target = _words(entry.target)
    facts: dict[str, object] = {
        "event": "audit.action",
        "action": entry.action,
        "target": target,
        "actor": entry.actor.sub,
        "role": entry.actor.role,
        "ip": entry.actor.ip or None,
        "count": entry.count,
        "reason": entry.reason or None,
        "outcome": entry.outcome,
        "request_id": entry.actor.request_id or None,
    }
    log.info("%s %s", entry.action, target, extra=facts)


def _words(target: Mapping[str, str]) -> str:
    # Whoever asks for what is not there chooses these words: one line must not look like two, in whatever format.
    return "".join(char if char.isprintable() else "?" for char in "/".join(target.values()))


async def read(storage: Storage, wanted: Wanted, *, before: str | None, limit: int, now: Millis | None) -> AuditPage:
    """Entries that are wanted, newest first, on from `before`. At most 5,000 are looked at.

    Raises:
        ConfigError: a limit beyond 1 to 500.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ConfigError(f"limit must be 1 to {MOST}, not {limit!r}", key="limit")
    end = before
    if wanted.until is not None:
        bound = id_bound(wanted.until)
        end = bound if end is None else min(end, bound)
    begin = None if wanted.since is None else id_bound(wanted.since)
    found: list[AuditEntry] = []
    examined = 0
    while True:
        size = min(SLICE, EXAMINED - examined)
        some = await _some(storage, begin, end, size, now)
        for one in some:
            examined += 1
            end = one.id
            entry = read_entry(one)
            if entry is not None and wanted.fits(entry):
                found.append(entry)
                if len(found) == limit:
                    return AuditPage(items=tuple(found), next=end, examined=examined)
        if len(some) < size:
            return AuditPage(items=tuple(found), examined=examined)
        if examined >= EXAMINED:
            return AuditPage(items=tuple(found), next=end, examined=examined)


async def _some(
    storage: Storage, after: str | None, before: str | None, limit: int, now: Millis | None
) -> list[Entry]:  # fmt: skip
    """The newest entries of both kinds between two ids."""
    found = [
        entry
        for kind in (KIND, ADDED)
        for entry in await storage.entries(kind, after=after, before=before, limit=limit, now=now)
    ]
    return sorted(found, key=lambda entry: entry.id, reverse=True)[:limit]


def read_entry(entry: Entry) -> AuditEntry | None:
    """An entry as it was written; None when a later version of corral has written it in another way."""
    try:
        return _decode(entry.text)
    except msgspec.MsgspecError:
        log.warning("audit entry %s cannot be read and is left out", entry.id)
        return None
