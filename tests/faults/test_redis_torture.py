"""The tortures of `make torture-redis`, short enough for every day. None of them looks at the clock."""

import random

import pytest

from corral.storage.connect import connect
from tests.faults.helpers import torture
from tests.faults.junk import Planter
from tests.faults.keys import Keys
from tests.faults.movable_clock import compiler
from tests.faults.quarantine import harm_done
from tests.faults.redis_books import prefix_of
from tests.redis_server import fresh_prefix, with_prefix

KILLS, LOST, RESTARTS = 24, 60, 3

pytestmark = [
    pytest.mark.slow,  # processes live and die, and servers with them
    pytest.mark.timeout(300),
]

#: Storms of every day, and those of `make torture-redis`, in which minutes of chance show more than a second does.
DAILY = ("scripts", "connections", "full")
LONG = ("replica", "frozen", "junk", "deleted", "emptied")


def test_killed_workers_lose_nothing_and_finish_nothing_twice() -> None:
    tally = torture(
        "tests.faults.torture", "--engine", "redis", "--kills", KILLS, "--every", 12, "--seed", 7,
        "--slowest-open", 60_000,
    )  # fmt: skip
    assert (tally["engine"], tally["kills"], tally["violations"]) == ("redis", KILLS, [])
    assert (tally["lost"], tally["stuck"], tally["twice"], tally["orphans"]) == (0, 0, 0, 0)
    assert int(str(tally["checks"])) >= 2
    assert int(str(tally["jobs"])) > KILLS  # the workers lived long enough to do something
    assert int(str(tally["crashes_recorded"])) > 0  # and were killed while they did


def test_nobody_notices_lost_replies() -> None:
    tally = torture("tests.faults.lost_replies", "--lost", LOST, "--seed", 7)
    assert int(str(tally["lost_replies"])) >= LOST
    assert (tally["duplicate_adds"], tally["double_finishes"], tally["orphans"]) == (0, 0, 0)
    assert tally["violations"] == []


def test_restarts_of_the_server_lose_nothing() -> None:
    tally = torture("tests.faults.restarts", "--restarts", RESTARTS, "--seed", 7, "--slowest", 60_000)
    assert (tally["restarts"], tally["violations"]) == (RESTARTS, [])


@pytest.mark.parametrize("storm", [*DAILY, *(pytest.param(storm, marks=pytest.mark.torture) for storm in LONG)])
def test_a_storm_passes_over_the_server(storm: str) -> None:
    tally = torture("tests.faults.storms", storm, "--seconds", 1, "--seed", 7)
    assert (tally["storm"], tally["violations"]) == (storm, [])
    assert int(str(tally["blows"])) >= 2


async def test_no_kind_of_junk_is_in_the_way_of_others(redis_url: str) -> None:
    url, complaints = with_prefix(redis_url, fresh_prefix()), []
    with Keys(url) as keys:
        async with connect(url) as storage:
            kinds = Planter(keys, "", "", random.Random(7)).everything()[::3]  # the storm plants all of them
            for number, what in enumerate(kinds):
                complaints += await harm_done(storage, keys, prefix_of(url), f"q{number}", what)
    assert complaints == []
    assert len(kinds) > 500


@pytest.mark.torture
@pytest.mark.skipif(compiler() is None, reason="moving a server's clock needs a C compiler")
def test_the_servers_clock_jumps() -> None:
    tally = torture("tests.faults.storms", "clock", "--seconds", 1, "--seed", 7)
    assert tally["violations"] == []
