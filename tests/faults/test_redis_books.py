"""The checkers of a Redis store must find what is broken: in its keys, and in what callers were answered."""

from collections.abc import Callable
from pathlib import Path

import pytest

from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Token
from tests.faults import history, ledger
from tests.faults.actors import Scene
from tests.faults.forks import Ledger
from tests.faults.keys import Keys
from tests.faults.redis_books import prefix_of
from tests.redis_server import fresh_prefix, with_prefix

Command = tuple[str | int, ...]


@pytest.fixture
def scene(redis_url: str, tmp_path: Path) -> Scene:
    return Scene(tmp_path, server=with_prefix(redis_url, fresh_prefix()))


async def life(scene: Scene) -> None:
    """Two jobs of one bulk that went well."""
    acks, effects, verdicts = Ledger(scene.acks), Ledger(scene.effects), Ledger(scene.verdicts)
    async with connect(scene.url) as storage:
        await storage.add([NewJob(queue="main", name="quick", data='{"bulk":"b","size":2}')] * 2)
        token = Token("t")
        claimed = await storage.claim("main", Claim(count=2, token=token, lease_ms=60_000))
        verdict = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed.jobs]
        await storage.settle("main", verdict)
        await storage.log("main", "1", ["a line"])
    for job_id in ("1", "2"):
        acks.write("main", job_id)
        effects.write("main", job_id, 1, 4711)
        verdicts.write("main", job_id, 1, 4711)


#: B is the base of the queue's keys, O of corral's own.
DAMAGES: dict[str, tuple[tuple[Command, ...], str]] = {
    "a job is gone": ((("DEL", "B2"), ("ZREM", "Bcompleted", "2")), "lost: main/2"),
    "half a bulk is gone": ((("DEL", "B2"), ("ZREM", "Bcompleted", "2")), "torn: 1 of 2"),
    "an id without a hash": ((("DEL", "B2"),), "orphan: 2 is completed and has no hash"),
    "a hash without a place": ((("ZREM", "Bcompleted", "2"),), "orphan: 2 is a hash and nowhere"),
    "a job in two places": ((("LPUSH", "Bwait", "2"),), "orphan: 2 is in"),
    "a job twice in a list": (
        (("ZREM", "Bcompleted", "2"), ("LPUSH", "Bwait", "2", "2")),
        "orphan: 2 is in wait, wait",
    ),
    "a job without a name": ((("HDEL", "B2", "name"),), "ghost: 2 has no name"),
    "a job waits for ever": ((("ZREM", "Bcompleted", "2"), ("LPUSH", "Bwait", "2")), "stuck: main/2"),
    "a lock survives its run": ((("SET", "B2:lock", "t", "PX", 60_000),), "orphan: 2 has a lock and is not active"),
    "a lock never ends": ((("SET", "B2:lock", "t"),), "2:lock never ends"),
    "a lease survives its run": ((("ZADD", "Oleases", 1, "2"),), "orphan: 2 has a lease and is not active"),
    "a run without a lease": (
        (("ZREM", "Bcompleted", "2"), ("LPUSH", "Bactive", "2")),
        "orphan: 2 is active and has no lease",
    ),
    "a mark of Node's check": ((("SADD", "Bstalled", "2"),), "orphan: 2 is marked as stalled"),
    "a hold that is not delayed": ((("ZADD", "Oheld", 1, "2"),), "orphan: 2 is held and not delayed"),
    "a hold under its name only": ((("ZADD", "Oheld:quick", 1, "2"),), "only by name or only by place"),
    "a log survives its job": ((("RPUSH", "B3:logs", "x"),), "orphan: 3 is gone and left its logs"),
    "a parent that waits for nobody": (
        (("ZREM", "Bcompleted", "2"), ("ZADD", "Bwaiting-children", 1, "2")),
        "stuck: 2 waits for no child",
    ),
    "a remembered call that stays": ((("SET", "Oop:x", "1:y"),), "op:x stays for -1 ms"),
    "a call remembered too long": ((("SET", "Oop:x", "1:y", "PX", 600_000),), "orphan: the remembered call"),
    "a key that nobody knows": ((("SET", "Ooddity", "x"),), "orphan: nobody knows the key"),
    "a rate limit without an end": ((("SET", "Blimiter", 1),), "rate limit's counter never ends"),
    "a job waits in a group and not in the queue": (
        (("ZADD", "Ogrouped", 0, f"g\0{1:023d}2"),),
        "orphan: 2 waits in group g, and is not there",
    ),
    "a run of a group that is over": ((("ZADD", "Obusy", 0, "g\0" + "2"),), "orphan: 2 runs in group g"),
    "a run that its group does not know": (
        (("ZREM", "Bcompleted", "2"), ("LPUSH", "Bactive", "2"), ("HSET", "B2", "gid", "g")),
        "orphan: 2 runs in no group, but is in g",
    ),
    "a job set aside that waits nowhere": (
        (("ZADD", "Oaside", 0, f"g\0{1:023d}2"),),
        "orphan: 2 is set aside in group g",
    ),
    "a turn of a group without jobs": ((("ZADD", "Oring", 1, "g"),), "orphan: group g has a turn and nothing waits"),
    "a group without a turn": ((("ZADD", "Ogrouped", 0, f"g\0{1:023d}2"),), "stuck: group g has waiting jobs"),
    "a group of which nothing is left": ((("ZADD", "Ogroups", 0, "g"),), "orphan: group g is known and has nothing"),
    "a deduplication id that outlives its owner": ((("SET", "Bde:x", "2"),), "de:x belongs to 2, which has ended"),
    "a job kept back for nobody": ((("HSET", "Bdn:x", "name", "quick"),), "dn:x is kept back and nobody"),
    "a job kept back for ever": (
        (("SET", "Bde:x", "1", "PX", 60_000), ("HSET", "Bdn:x", "name", "quick")),
        "dn:x was kept back and never added",
    ),
    "an edge that nobody waits at": ((("SADD", "Oedges", "2"),), "leftover: 1 in edges"),
    "followers that are forgotten": ((("ZADD", "Othen:2", 1, "main:1"),), "orphan: the followers of 2 are forgotten"),
    "half a kind of failure": ((("ZADD", "Ofailures", 1, "x"),), "are known by half"),
    "a total counts twice": ((("HSET", "Bmetrics:completed", "count", 3),), "total: main says 3 ever completed"),
    "a verdict counts twice": ((("HSET", "B1", "atm", 2),), "twice: main/1 is completed after 2"),
    "a run too many": ((("HSET", "B1", "ats", 2),), "by run 1 when run 2 held the lease"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_books_tell_what_is_broken(damage: str, scene: Scene) -> None:
    commands, complaint = DAMAGES[damage]
    await life(scene)
    assert ledger.check(scene)[1] == []
    base = f"{prefix_of(scene.url)}:main:"
    with Keys(scene.url) as keys:
        for command, key, *rest in commands:
            name = str(key)
            keys.ask(command, (base if name[0] == "B" else f"corral:{base}") + name[1:], *rest)
    assert [found for found in ledger.check(scene)[1] if complaint in found] != []


# -- answers and events ------------------------------------------------------------------------------------------------

LIFE = (("added", ""), ("waiting", ""), ("active", "waiting"), ("completed", "active"))
MISTAKES: dict[str, tuple[Callable[[history.Answers], None], tuple[tuple[str, str], ...], str]] = {
    "an add that nobody heard of": (lambda answers: answers.added.clear(), LIFE, "twice: add of 1"),
    "an add that did not happen": (lambda answers: answers.added.update("2"), LIFE, "lost: add of 2"),
    "a job that begins twice": (lambda _: None, (*LIFE, ("added", "")), "impossible: added"),
    "a finish that nobody heard of": (lambda answers: answers.completed.clear(), LIFE, "twice: completed of 1"),
    "a second finish": (lambda _: None, (*LIFE, ("completed", "active")), "impossible: completed"),
    "a run of two workers": (lambda answers: answers.claimed.update([("1", 1)]), LIFE, "twice: run 1 of 1"),
    "a removal that did not happen": (lambda answers: answers.removed.update("1"), LIFE, "lost: removed of 1"),
    "a failure that did not happen": (lambda answers: answers.failed.update("1"), LIFE, "lost: 1 failures of 1"),
    "a retry that nobody heard of": (lambda _: None, (*LIFE, ("waiting", "completed")), "twice: retried of 1"),
}


def compared(scene: Scene, spoil: Callable[[history.Answers], None], events: tuple[tuple[str, str], ...]) -> list[str]:
    """What is said about these events of a job when the answers were the right ones but for `spoil`."""
    answers = history.Answers()
    answers.added.update("1")
    answers.claimed.update([("1", 1)])
    answers.completed.update("1")
    spoil(answers)
    stream = f"{prefix_of(scene.url)}:main:events"
    with Keys(scene.url) as keys:
        for event, prev in events:
            keys.ask("XADD", stream, "*", "event", event, "jobId", "1", "prev", prev)
        return list(history.compare(answers, history.happened(keys, stream)))


def test_answers_that_fit_the_events_are_all_right(scene: Scene) -> None:
    assert compared(scene, lambda _: None, LIFE) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_answers_that_do_not_fit_the_events_are_found(mistake: str, scene: Scene) -> None:
    spoil, events, complaint = MISTAKES[mistake]
    assert [found for found in compared(scene, spoil, events) if complaint in found] != []
