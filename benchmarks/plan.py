"""What is measured on SQLite: one `Case` per figure, in the order of a round."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Parameter: TypeAlias = int | float | str


@dataclass(frozen=True)
class Case:
    """One measurement: which side, which function, with what."""

    key: str
    side: str
    function: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    once: bool = False  #: too long to repeat in each round
    store: str = ""  #: the server it needs: see `servers.serve`


#: The concurrencies among which each side may choose its best.
SLOTS = (50, 100, 200)
WORKERS = (1, 4, 8)
BULK = 1_000


def _slices(quick: bool) -> int:
    """What commits once per job hangs on the disk's mood of the second: it is measured in so many slices a round."""
    return 2 if quick else 3


def plan(quick: bool) -> list[Case]:
    """The cases of one round. The two sides alternate, so that a noisy neighbour meets both."""
    return [*_draining(quick), *_adding(quick), *_waiting(quick), *_starting(quick)]


def _draining(quick: bool) -> list[Case]:
    jobs = 5_000 if quick else 20_000
    their_jobs = 2_000 if quick else 20_000  # which take huey as long as corral's
    single = 1_000 if quick else 2_000
    cases: list[Case] = []
    for slots, workers in zip(SLOTS, WORKERS, strict=True):
        cases.append(Case(f"drain/ours/{slots}", "ours", "drain", {"jobs": jobs, "slots": slots}))
        cases.append(Case(f"drain/theirs/{workers}", "theirs", "drain", {"jobs": their_jobs, "workers": workers}))
    keep: Mapping[str, Parameter] = {"jobs": jobs, "slots": 100, "keep": "all"}
    one_by_one = [
        Case("drain-single/ours", "ours", "drain", {"jobs": single, "slots": 1}),
        Case("drain-single/theirs", "theirs", "drain", {"jobs": single, "workers": 1}),
    ]
    return [
        *cases,
        Case("drain-kept/ours", "ours", "drain", keep),
        Case("drain-two/ours", "ours", "drain", {"jobs": jobs, "slots": 100, "processes": 2}),
        Case("drain-two/theirs", "theirs", "drain", {"jobs": their_jobs, "workers": 4, "processes": 2}),
        *(one_by_one * _slices(quick)),
        Case("drain-10ms/ours", "ours", "drain", {"jobs": 2_000, "slots": 100, "pause": 0.01}),
    ]


def _adding(quick: bool) -> list[Case]:
    jobs = 1_000 if quick else 2_000
    many = 10_000 if quick else 20_000
    one_by_one = [
        Case("add-one/ours", "ours", "add_one", {"jobs": jobs}),
        Case("add-one/theirs", "theirs", "add_one", {"jobs": jobs}),
    ]
    return [
        *(one_by_one * _slices(quick)),
        Case("add-concurrent/ours", "ours", "add_concurrent", {"jobs": many, "callers": 100}),
        Case("add-bulk/ours", "ours", "add_bulk", {"jobs": many, "size": BULK}),
    ]


def _waiting(quick: bool) -> list[Case]:
    waiting = 100_000 if quick else 1_000_000
    samples = 500 if quick else 3_000
    jobs = 200 if quick else 600
    return [
        Case("backlog/empty", "backlog", "on_a_file", {"waiting": 0, "samples": samples}),
        Case("backlog/full", "backlog", "on_a_file", {"waiting": waiting, "samples": samples}, once=quick),
        Case("bytes/ours", "ours", "bytes_per_job", {"jobs": 100_000}, once=True),
        Case("bytes/theirs", "theirs", "bytes_per_job", {"jobs": 100_000}, once=True),
        Case("latency/ours", "latency", "together", {"jobs": jobs, "gap": 0.005}),
        Case("latency/theirs", "theirs", "latency", {"jobs": jobs, "gap": 0.005}),
        Case("latency-across/ours", "latency", "across", {"jobs": jobs, "gap": 0.005}),
    ]


def _starting(quick: bool) -> list[Case]:
    return [
        Case("start/ours", "start", "start", {"times": 5 if quick else 11}),
        Case("idle/ours", "start", "idle", {"seconds": 3.0 if quick else 10.0}, once=True),
    ]
