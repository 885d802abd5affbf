"""What parents know of their children, in BullMQ's four keys, as ties that another store understands."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from corral.job import JobId, JobState
from corral.options import ParentPolicy
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from corral.storage.transfer import Tie

#: Members read by one command.
STEP = 500
_READ = (("SSCAN", "dependencies"), ("HSCAN", "processed"), ("HSCAN", "failed"), ("ZSCAN", "unsuccessful"))


#: How the score of a follower in `then:<id>` says its policy; lib/edges.lua has the same order.
POLICIES = (
    ParentPolicy.WAIT, ParentPolicy.FAIL, ParentPolicy.CONTINUE, ParentPolicy.IGNORE, ParentPolicy.REMOVE,
)  # fmt: skip


class _Ties(Call, kw_only=True):
    id: JobId
    first: bool
    open: list[str]
    completed: list[str]
    failed: list[str]
    fatal: list[str]
    later: list[str]
    after: list[str | int | bool]


class _Known(Struct):
    """The four keys of a parent, and what stands in its hash of those that they have no word for."""

    members: list[dict[str, str]]
    noted: dict[str, tuple[str, str]]


class Families:
    """Reads and writes ties."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def key_of(self, queue: str, job_id: JobId) -> str:
        return f"{self._prefix}:{queue}:{job_id}"

    def _split(self, key: str) -> tuple[str, JobId]:
        """Queue and id of a job's key. Ids may have colons: those of scheduled jobs do."""
        rest = key.removeprefix(f"{self._prefix}:")
        if rest == key:  # under another prefix: Node can do that
            base, _, job_id = key.rpartition(":")
            return base.rpartition(":")[2], job_id
        queue, _, job_id = rest.partition(":")
        return queue, job_id

    async def read(self, queue: str, parent: JobId) -> tuple[Tie, ...]:
        """The children of a parent."""
        known = await self._known(self.key_of(queue, parent))
        pending, completed, failed, fatal = known.members
        reasons = await self._reasons([*pending, *fatal])
        followed = await self._followed(queue, parent, [*pending, *completed, *failed, *fatal])
        ties = []
        for key in pending:
            reason = reasons[key]
            if reason is None:
                ties.append(self._tie(key, JobState.WAITING, ParentPolicy.WAIT, None))
            else:
                ties.append(self._tie(key, JobState.FAILED, ParentPolicy.WAIT, reason))
        ties += [self._tie(key, JobState.COMPLETED, ParentPolicy.WAIT, value) for key, value in completed.items()]
        for key, value in failed.items():
            word, _ = known.noted.get(key, ("", ""))
            policy = ParentPolicy.CONTINUE if word == "continue" else ParentPolicy.IGNORE
            ties.append(self._tie(key, JobState.FAILED, policy, value))
        for key in fatal:
            _, noted = known.noted.get(key, ("", ""))
            ties.append(self._tie(key, JobState.FAILED, ParentPolicy.FAIL, noted or reasons[key] or ""))
        return tuple(_as_edge(tie, followed.get(self.key_of(tie.queue, tie.id))) for tie in ties)

    def _tie(self, key: str, state: JobState, policy: ParentPolicy, value: str | None) -> Tie:
        queue, job_id = self._split(key)
        return Tie(queue=queue, id=job_id, state=state, policy=policy, value=value)

    async def _known(self, key: str) -> _Known:
        members: list[dict[str, str]] = []
        for command, name in _READ:
            found: dict[str, str] = {}
            cursor = "0"
            while True:
                [reply] = await self._server.commands((command, f"{key}:{name}", cursor, "COUNT", STEP))
                assert isinstance(reply, list)
                assert isinstance(reply[1], list)
                words = [read_text(word) for word in reply[1]]
                found.update(
                    dict.fromkeys(words, "") if command == "SSCAN" else zip(words[::2], words[1::2], strict=True)
                )
                cursor = read_text(reply[0])
                if cursor == "0":
                    break
            members.append(found)
        noted: dict[str, tuple[str, str]] = {}
        keys = [*members[2], *members[3]]
        if keys:
            [reply] = await self._server.commands(("HMGET", key, *(f"kid:{one}" for one in keys)))
            assert isinstance(reply, list)
            for one, value in zip(keys, reply, strict=True):
                if value is not None:
                    word, _, reason = read_text(value).partition(" ")
                    noted[one] = word, reason
        return _Known(members, noted)

    async def _reasons(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Why children failed, of those that have; a failed child that nobody decides about stays in `dependencies`."""
        reasons: dict[str, str | None] = {}
        for start in range(0, len(keys), STEP):
            some = keys[start : start + STEP]
            commands = []
            for key in some:
                queue, job_id = self._split(key)
                commands += [("ZSCORE", f"{self._prefix}:{queue}:failed", job_id), ("HGET", key, "failedReason")]
            replies = await self._server.commands(*commands)
            for place, key in enumerate(some):
                score, reason = replies[2 * place], replies[2 * place + 1]
                reasons[key] = None if score is None else read_text(reason)
        return reasons

    async def _followed(self, queue: str, parent: JobId, keys: Sequence[str]) -> dict[str, ParentPolicy]:
        """Which of these are no children, but jobs that this one comes after, and with what policy."""
        found: dict[str, ParentPolicy] = {}
        own = self.key_of(queue, parent)
        for start in range(0, len(keys), STEP):
            some = keys[start : start + STEP]
            commands: list[tuple[str, str, str]] = []
            for key in some:
                other, job_id = self._split(key)
                commands += [
                    ("ZSCORE", f"corral:{self._prefix}:{other}:then:{job_id}", f"{queue}:{parent}"),
                    ("HGET", key, "parentKey"),
                ]
            replies = await self._server.commands(*commands)
            for place, key in enumerate(some):
                score, above = replies[2 * place], replies[2 * place + 1]
                if score is not None and read_text(above) != own:
                    found[key] = POLICIES[int(float(read_text(score))) % 8]
        return found

    async def write(self, queue: str, parent: JobId, ties: Sequence[Tie], *, first: bool) -> None:
        """Tell a parent of its children."""
        request = _Ties(
            prefix=self._prefix,
            queue=queue,
            id=parent,
            first=first,
            open=[],
            completed=[],
            failed=[],
            fatal=[],
            later=[],
            after=[],
        )
        for tie in ties:
            key = self.key_of(tie.queue, tie.id)
            match tie.state, tie.policy:
                case JobState.COMPLETED, _:
                    request.completed += [key, tie.value or "null"]
                case JobState.FAILED, ParentPolicy.FAIL:
                    request.fatal += [key, tie.value or ""]
                case JobState.FAILED, ParentPolicy.CONTINUE:
                    request.later += [key, tie.value or ""]
                case JobState.FAILED, ParentPolicy.IGNORE:
                    request.failed += [key, tie.value or ""]
                case _ if not tie.after:
                    request.open.append(key)
            if tie.after:
                waits = tie.state is JobState.WAITING or (
                    tie.state is JobState.FAILED and tie.policy is ParentPolicy.WAIT
                )
                request.after += [tie.queue, tie.id, POLICIES.index(tie.policy), waits]
        await self._server.run(script("unpack_ties"), queue, pack(request))


def _as_edge(tie: Tie, policy: ParentPolicy | None) -> Tie:
    """What is left of a failed one's policy stays as it is; of the others their own is told."""
    if policy is None:
        return tie
    return replace(tie, after=True, policy=tie.policy if tie.state is JobState.FAILED else policy)


def read_text(word: object) -> str:
    """A text of a plain reply; "" for what is none. Bytes that are none of UTF-8 become U+FFFD."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else ""
