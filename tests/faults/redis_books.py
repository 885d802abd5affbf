"""What lies in a Redis store, read past the engine key by key, and whether anything lies there that should not.

Every id must be in exactly one container, every member of a container must have a hash, and nothing may be left over:
no lock without an active job, no lease without a lock's job, no remembered call beyond its time, no unknown key.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

from tests.faults import redis_own
from tests.faults.books import Key, Row, Totals
from tests.faults.keys import Keys

#: The containers of a job, and the state that each means.
STATES = {"wait": "waiting", "paused": "waiting", "prioritized": "waiting"} | {
    name: name for name in ("active", "delayed", "waiting-children", "completed", "failed")
}
#: What else BullMQ keeps for a queue.
SHARED = frozenset("id pc meta events marker limiter stalled stalled-check repeat".split())
SHARED_FAMILIES = ("metrics:", "de:", "dn:", "repeat:")
#: What belongs to a job beside its hash.
PARTS = ("lock", "logs", "dependencies", "processed", "failed", "unsuccessful")
#: corral's own keys of a queue, and those of all queues together.
OWN = frozenset(
    "leases held settings state minutes notes notes:ends quarantine schedules slots scan queues workers "
    "workers:seen entry_ends".split()
).union(redis_own.OWN)
OWN_FAMILIES = ("held:", "op:", "entries:", "entry_ids:", *redis_own.FAMILIES)
#: How the ids begin that a harness puts into a queue to harm it. What was not a job before need not become one.
JUNK = "junk-"
#: How long the answer to a call is remembered, in milliseconds.
MEMORY_MS = 60_000
ENDS = ("completed", "failed")
FIELDS = ("name", "ats", "atm", "stc", "data")


@dataclass
class QueueKeys:
    """The keys of one queue, sorted by what they are for."""

    name: str
    places: dict[str, list[str]] = field(default_factory=dict)  #: container -> ids
    hashes: set[str] = field(default_factory=set)
    parts: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: part -> ids
    leases: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    grouped: set[str] = field(default_factory=set)  #: those in `waiting-children` that wait in a group
    held_by_name: list[str] = field(default_factory=list)
    stalled: set[str] = field(default_factory=set)
    quarantine: set[str] = field(default_factory=set)

    @cached_property
    def everywhere(self) -> set[str]:
        """Every id in a container."""
        return {job_id for place in self.places.values() for job_id in place}

    def ids(self, container: str) -> set[str]:
        return set(self.places.get(container, ()))


def prefix_of(url: str) -> str:
    """What every key of a store begins with."""
    return dict(parse_qsl(urlsplit(url).query)).get("prefix", "bull")


class RedisBooks:
    """The keys under one prefix, which nobody changes at the moment."""

    def __init__(self, url: str) -> None:
        self._prefix = prefix_of(url)
        self._keys = Keys(url)
        self._unknown: list[str] = []
        self._memories: list[str] = []
        self._queues: dict[str, QueueKeys] = {}
        self._sort()

    def close(self) -> None:
        self._keys.close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def rows(self) -> dict[Key, Row]:
        """Every job that is in a container."""
        rows: dict[Key, Row] = {}
        for queue in self._queues.values():
            places = [(job_id, STATES[c]) for c in queue.places for job_id in queue.places[c]]
            stored = self._hashes(queue.name, [job_id for job_id, _ in places])
            for (job_id, state), (name, started, made, crashes, data) in zip(places, stored, strict=True):
                where = "held" if state == "delayed" and job_id in queue.held else state
                where = "grouped" if job_id in queue.grouped else where
                bulk = data if data and data.startswith('{"bulk"') else ""
                rows[queue.name, job_id] = Row(
                    name or "", where, _number(started), _number(made), _number(crashes), bulk
                )
        return rows

    def totals(self) -> dict[str, Totals]:
        base = self._prefix
        return {
            name: Totals(*(_number(self._keys.field(f"{base}:{name}:metrics:{end}", "count")) for end in ENDS))
            for name in self._queues
        }

    def _hashes(self, queue: str, ids: Iterable[str]) -> list[tuple[str | None, ...]]:
        return self._keys.fields([f"{self._prefix}:{queue}:{job_id}" for job_id in ids], FIELDS)

    # -- sorting -------------------------------------------------------------------------------------------------------

    def _sort(self) -> None:
        keys = [self._split(key, f"{self._prefix}:") for key in self._keys.like(f"{self._prefix}:*")]
        for name, rest, key in keys:
            self._sort_place(self._of(name), rest, key)
        for name, rest, _ in keys:
            self._sort_job(self._of(name), rest)
        for key in self._keys.like(f"corral:{self._prefix}:*"):
            self._sort_own(*self._split(key, f"corral:{self._prefix}:"))

    def _split(self, key: str, base: str) -> tuple[str, str, str]:
        name, _, rest = key.removeprefix(base).partition(":")
        return name, rest, key

    def _of(self, name: str) -> QueueKeys:
        return self._queues.setdefault(name, QueueKeys(name))

    def _sort_place(self, queue: QueueKeys, rest: str, key: str) -> None:
        if rest in STATES:
            queue.places[rest] = self._keys.members(key)
            if rest == "waiting-children":
                queue.grouped = redis_own.grouped_in(self._keys, key)
        elif rest == "stalled":
            queue.stalled = set(self._keys.members(key))

    def _sort_job(self, queue: QueueKeys, rest: str) -> None:
        """Jobs' own keys. A run of a schedule has an id that begins as the schedule's keys do."""
        if rest in STATES or rest in SHARED:
            return
        job_id, _, part = rest.rpartition(":")
        if rest.startswith(SHARED_FAMILIES) and not {rest, job_id} & queue.everywhere:
            return
        if job_id and part in PARTS:
            queue.parts[part].add(job_id)
        else:
            queue.hashes.add(rest)

    def _sort_own(self, name: str, rest: str, key: str) -> None:
        if rest.startswith("op:"):
            self._memories.append(key)
        elif rest not in OWN and not rest.startswith(OWN_FAMILIES):
            self._unknown.append(key)
        elif rest == "leases":
            self._of(name).leases = {one for one in self._keys.members(key) if not one.startswith("----")}
        elif rest == "held":
            self._of(name).held = set(self._keys.members(key))
        elif rest == "quarantine":
            self._of(name).quarantine = set(self._keys.members(key))
        elif rest.startswith("held:"):
            self._of(name).held_by_name += self._keys.members(key)

    # -- complaints ----------------------------------------------------------------------------------------------------

    def audit(self, rows: Mapping[Key, Row], *, drained: bool, forgiven: frozenset[Key] = frozenset()) -> Iterator[str]:
        """No orphans, no leftovers. `drained`: nobody works, so there is no lease and nothing is held."""
        yield from (f"orphan: nobody knows the key {key}" for key in self._unknown)
        yield from self._remembered()
        for queue in self._queues.values():
            spared = {job_id for name, job_id in forgiven if name == queue.name}
            complaints = [*self._placed(queue, spared), *_attached(queue, spared), *self._locked(queue)]
            complaints += [*self._families(queue), *self._own(queue, drained=drained)]
            if drained:
                complaints += _left(queue)
            yield from (f"{complaint} in {queue.name}" for complaint in complaints)

    def _remembered(self) -> Iterator[str]:
        for key, left in self._keys.lifetimes(self._memories):
            if not -2 <= left <= MEMORY_MS or left == -1:
                yield f"orphan: the remembered call {key} stays for {left} ms"

    def _placed(self, queue: QueueKeys, spared: set[str]) -> Iterator[str]:
        """Every id in exactly one container, every one with a hash; `spared` are those whose hash was taken away."""
        where: defaultdict[str, list[str]] = defaultdict(list)
        for container, place in queue.places.items():
            for job_id in place:
                where[job_id].append(container)
        yield from (f"orphan: {job_id} is in {', '.join(found)}" for job_id, found in where.items() if len(found) > 1)
        nothing = where.keys() - queue.hashes - spared
        yield from (f"orphan: {job_id} is {where[job_id][0]} and has no hash" for job_id in nothing)
        nowhere = queue.hashes - where.keys() - queue.quarantine
        yield from (f"orphan: {job_id} is a hash and nowhere" for job_id in nowhere)
        hashes = [job_id for job_id in queue.hashes if not job_id.startswith(JUNK)]
        for job_id, stored in zip(hashes, self._hashes(queue.name, hashes), strict=True):
            if stored[0] is None:
                yield f"ghost: {job_id} has no name"

    def _locked(self, queue: QueueKeys) -> Iterator[str]:
        """A lease for every active job, and a lock for nobody else."""
        active = queue.ids("active")
        yield from (f"orphan: {job_id} has a lock and is not active" for job_id in queue.parts["lock"] - active)
        yield from (f"orphan: {job_id} has a lease and is not active" for job_id in queue.leases - active)
        yield from (f"orphan: {job_id} is active and has no lease" for job_id in active - queue.leases)
        yield from (f"orphan: {job_id} is marked as stalled and not active" for job_id in queue.stalled - active)
        locks = [f"{self._prefix}:{queue.name}:{job_id}:lock" for job_id in queue.parts["lock"]]
        yield from (f"orphan: {key} never ends" for key, left in self._keys.lifetimes(locks) if left == -1)
        if self._lives_for_ever(f"{self._prefix}:{queue.name}:limiter"):
            yield "orphan: the rate limit's counter never ends"

    def _families(self, queue: QueueKeys) -> Iterator[str]:
        """A parent waits for jobs that are there and not finished, and for at least one."""
        base = f"{self._prefix}:{queue.name}:"
        for job_id in queue.ids("waiting-children") - queue.grouped:
            children = self._keys.members(f"{base}{job_id}:dependencies")
            if not children:
                yield f"stuck: {job_id} waits for no child"
            for child in children:
                name, _, child_id = child[len(self._prefix) + 1 :].partition(":")
                home = self._queues.get(name) or QueueKeys(name)
                if child_id in home.ids("completed") or child_id not in home.hashes:
                    yield f"stuck: {job_id} waits for {child}, which has ended or is gone"

    def _own(self, queue: QueueKeys, *, drained: bool) -> Iterator[str]:
        """Groups, uniqueness and edges."""
        own = redis_own.OwnBooks(self._keys, self._prefix, queue.name, queue.hashes)
        yield from own.groups(queue.grouped, queue.ids("active"), queue.held)
        yield from own.unique(queue.ids("completed") | queue.ids("failed"))
        yield from own.edges()
        yield from own.failures()
        if drained:
            yield from own.left()

    def _lives_for_ever(self, key: str) -> bool:
        return self._keys.lifetimes([key])[0][1] == -1


def _attached(queue: QueueKeys, spared: set[str]) -> Iterator[str]:
    """What belongs to a job goes with it; what is held is delayed as well."""
    for part, ids in queue.parts.items():
        if part != "lock":
            gone = ids - queue.hashes - spared
            yield from (f"orphan: {job_id} is gone and left its {part}" for job_id in gone)
    yield from (f"orphan: {job_id} is held and not delayed" for job_id in queue.held - queue.ids("delayed"))
    by_name = set(queue.held_by_name)
    if by_name != queue.held or len(by_name) != len(queue.held_by_name):
        yield f"orphan: {sorted(queue.held ^ by_name)} are held only by name or only by place"


def _left(queue: QueueKeys) -> Iterator[str]:
    """Once all is done, nothing of the doing is left."""
    for what, ids in (("a lease", queue.leases), ("a hold", queue.held), ("a lock", queue.parts["lock"])):
        if ids:
            yield f"leftover: {what} of {len(ids)} jobs: {sorted(ids)[:3]}"


def _number(text: str | None) -> int:
    """A counter; what cannot be one counts as nothing."""
    return int(text) if text and text.isdecimal() and len(text) < 16 else 0
