"""What corral keeps on Redis about groups, uniqueness and edges, and whether it fits the jobs that are there."""

from collections.abc import Iterator

from tests.faults.keys import Keys

#: A waiting job of a group stands in `waiting-children`, so far behind all parents.
IN_GROUP = 2**52
#: Digits of a job's place in its group.
PLACE = 23
#: Keys of a queue.
OWN = frozenset(
    "edges followed dedups grouped aside busy ring blocked groups group_settings windows freed idle failures "
    "failures:of".split()
)
FAMILIES = ("then:", "series:")
#: What is empty when nothing waits and nothing runs.
EMPTY = ("grouped", "aside", "busy", "ring", "blocked", "freed", "edges")


def grouped_in(keys: Keys, place: str) -> set[str]:
    """Ids that stand in `waiting-children` because they wait in a group."""
    return {job_id for job_id, since in keys.scored(place).items() if since >= IN_GROUP}


class OwnBooks:
    """One queue. Where its jobs are is told by the caller."""

    def __init__(self, keys: Keys, prefix: str, queue: str, hashes: set[str]) -> None:
        self._keys = keys
        self._base = f"{prefix}:{queue}:"
        self._own = f"corral:{self._base}"
        self._hashes = hashes

    def _members(self, name: str) -> set[str]:
        return set(self._keys.members(self._own + name))

    def _groups_of(self, ids: set[str]) -> dict[str, str]:
        """The group of each of these jobs that is in one."""
        ordered = sorted(ids)
        found = self._keys.fields([self._base + job_id for job_id in ordered], ("gid",))
        return {job_id: gid for job_id, (gid,) in zip(ordered, found, strict=True) if gid is not None}

    # -- groups --------------------------------------------------------------------------------------------------------

    def groups(self, waiting: set[str], active: set[str], held: set[str]) -> Iterator[str]:
        """Every job of a group is where its group has it, and a group with jobs waits for its turn or is blocked."""
        grouped, aside = (self._split(name) for name in ("grouped", "aside"))
        busy = {job_id: gid for gid, _, job_id in (one.partition("\0") for one in self._members("busy"))}
        yield from self._agree("waits in", grouped, self._groups_of(waiting | grouped.keys()), waiting)
        yield from self._agree("runs in", busy, self._groups_of(active | busy.keys()), active)
        yield from self._agree("is set aside in", aside, self._groups_of(held | aside.keys()), held)
        ring, blocked, known = self._members("ring"), self._members("blocked"), self._members("groups")
        yield from (f"orphan: group {gid} may be served and may not" for gid in ring & blocked)
        having = set(grouped.values())
        yield from (f"orphan: group {gid} has a turn and nothing waits in it" for gid in (ring | blocked) - having)
        yield from (f"stuck: group {gid} has waiting jobs and no turn" for gid in having - ring - blocked)
        settings = {gid for gid, text in self._keys.hash(f"{self._own}group_settings").items() if text != "{}"}
        alive = having | set(busy.values()) | set(aside.values()) | settings
        yield from (f"orphan: group {gid} is known and has nothing" for gid in known - alive)
        yield from (f"orphan: group {gid} has jobs or settings and is not known" for gid in alive - known)

    def _split(self, name: str) -> dict[str, str]:
        """Id -> group, of a key whose members are group, place and id."""
        parts = (member.partition("\0") for member in self._members(name))
        return {rest[PLACE:]: gid for gid, _, rest in parts}

    def _agree(self, word: str, said: dict[str, str], real: dict[str, str], there: set[str]) -> Iterator[str]:
        for job_id, gid in said.items():
            if job_id not in there or real.get(job_id) != gid:
                yield f"orphan: {job_id} {word} group {gid}, and is not there or in {real.get(job_id)}"
        for job_id in there & real.keys() - said.keys():
            yield f"orphan: {job_id} {word} no group, but is in {real[job_id]}"

    # -- uniqueness ----------------------------------------------------------------------------------------------------

    def unique(self, ended: set[str]) -> Iterator[str]:
        """An id without an end of its own belongs to a job that has not ended; what is kept back has such an owner."""
        owners = list(self._keys.like(f"{self._base}de:*"))
        ids = {key.removeprefix(f"{self._base}de:") for key in owners}
        for key, left in self._keys.lifetimes(owners):
            owner = self._keys.text(key)
            if left == -1 and (owner in ended or owner not in self._hashes):
                yield f"orphan: {key} belongs to {owner}, which has ended or is gone"
        for key in self._keys.like(f"{self._base}dn:*"):
            if key.removeprefix(f"{self._base}dn:") not in ids:
                yield f"orphan: {key} is kept back and nobody keeps it out"
        now = self._keys.now_ms()
        for deid, ends in self._keys.scored(f"{self._own}dedups").items():
            if deid not in ids and ends > now:
                yield f"orphan: deduplication {deid} has a time and no owner"

    # -- edges ---------------------------------------------------------------------------------------------------------

    def edges(self) -> Iterator[str]:
        """Whoever is followed is there and knows it. Followers that were removed may stay on its list until it goes."""
        followed, pattern = self._members("followed"), f"{self._own}then:"
        lists = {key.removeprefix(pattern) for key in self._keys.like(f"{pattern}*")}
        yield from (f"orphan: {job_id} is followed by nobody" for job_id in followed - lists)
        yield from (f"orphan: the followers of {job_id} are forgotten" for job_id in lists - followed)
        yield from (f"orphan: {job_id} is gone and left its followers" for job_id in lists - self._hashes)
        yield from (f"orphan: {job_id} has an edge and no follower" for job_id in self._members("edges") - lists)

    # -- the end -------------------------------------------------------------------------------------------------------

    def left(self) -> Iterator[str]:
        """Once all is done nothing waits, runs or holds, and every group that is known has settings."""
        for name in EMPTY:
            if members := self._members(name):
                yield f"leftover: {len(members)} in {name}: {sorted(members)[:3]}"
        for key in self._keys.like(f"{self._base}dn:*"):
            yield f"leftover: {key} was kept back and never added"

    def failures(self) -> Iterator[str]:
        """Each kind has its time, and each time its kind."""
        times, kinds = self._members("failures"), set(self._keys.ask("HKEYS", f"{self._own}failures:of"))
        if times != kinds:
            yield f"orphan: kinds of failures {sorted(times ^ kinds)[:3]} are known by half"
