"""What is measured on Redis: corral beside BullMQ and the Python queues. Keys are `redis/FIGURE/WHO/CHOICE`."""

from benchmarks.catalogue import PEERS, Peer
from benchmarks.plan import SLOTS, Case, Parameter
from benchmarks.servers import has_postgres

#: What is measured with the peers' newest releases in a quick run: the named rivals and the fastest of the others.
QUICK = ("bullmq", "bullmq-py", "dramatiq", "huey")
#: BullMQ keeps all completed jobs; corral the newest 1,000, here called by that number; either can keep none.
KEPT = ("all", "1000", "none")
#: `add_bulk` sizes among which corral may choose, as its rivals may.
BULKS = (250, 1_000, 5_000)
DRAIN, ADDS, MANY = 20_000, 5_000, 20_000
GAP = 0.005
WAITING = (1_000, 1_000_000)
EVERYSEC = "redis-everysec"


def plan(quick: bool) -> list[Case]:
    """The cases of one round. What is set against each other stands side by side."""
    return _quick() if quick else [*_draining(), *_adding(), *_latency(), *_backlog()]


def peers(quick: bool) -> list[Peer]:
    """Who takes part: PostgreSQL's where there is one."""
    named = [PEERS[name] for name in QUICK] if quick else list(PEERS.values())
    return [peer for peer in named if peer.store != "postgres" or has_postgres()]


# -- one case ----------------------------------------------------------------------------------------------------------


def _ours(figure: str, choice: object, function: str, store: str = "redis", **parameters: Parameter) -> Case:
    return Case(f"redis/{figure}/corral/{choice}", "ours", function, parameters, store=store)


def _theirs(figure: str, choice: object, function: str, peer: Peer, store: str = "", **parameters: Parameter) -> Case:
    key = f"redis/{figure}/{peer.name}/{choice}"
    return Case(key, "rivals", function, {"peer": peer.name, **parameters}, store=store or peer.store)


def _other_client(size: int, jobs: int) -> Case:
    """BullMQ adds in bulk with a fifth less work through node-redis than through ioredis; its workers do not."""
    choice = f"{size}, node-redis"
    return _theirs("add-bulk", choice, "add_bulk", PEERS["bullmq"], jobs=jobs, size=size, client="node-redis")


def _keep(kept: str) -> str:
    """corral's default goes without saying."""
    return "" if kept == "1000" else kept


# -- the full run ------------------------------------------------------------------------------------------------------


def _draining() -> list[Case]:
    bullmq = PEERS["bullmq"]
    cases = []
    for kept in KEPT:
        for slots in SLOTS:
            figure = f"drain-{kept}"
            cases.append(_ours(figure, slots, "drain", jobs=DRAIN, slots=slots, keep=_keep(kept)))
            cases.append(_theirs(figure, slots, "drain", bullmq, jobs=DRAIN, slots=slots, keep=kept))
    for peer in peers(quick=False):
        if peer is not bullmq:
            cases += [_theirs("drain-all", slots, "drain", peer, jobs=peer.jobs, slots=slots) for slots in peer.slots]
    for slots in SLOTS:
        cases.append(_ours("drain-two", slots, "drain", jobs=DRAIN, slots=slots, keep="all", processes=2))
        cases.append(_theirs("drain-two", slots, "drain", bullmq, jobs=DRAIN, slots=slots, processes=2))
    cases += [
        _theirs("drain-two", peer.best, "drain", peer, jobs=peer.jobs, slots=peer.best, processes=2)
        for peer in peers(quick=False)
        if peer.name in ("bull", "bullmq-py", "dramatiq", "huey", "pgqueuer")
    ]
    return [
        *cases,
        _ours("drain-everysec", 100, "drain", store=EVERYSEC, jobs=DRAIN, slots=100, keep="all"),
        _theirs("drain-everysec", 100, "drain", bullmq, store=EVERYSEC, jobs=DRAIN, slots=100),
        _ours("drain-single", 1, "drain", jobs=5_000, slots=1, keep="all"),
        _theirs("drain-single", 1, "drain", bullmq, jobs=5_000, slots=1),
        _ours("drain-10ms", 100, "drain", jobs=2_000, slots=100, keep="all", pause=0.01),
        *(
            _theirs("drain-10ms", 100, "drain", peer, jobs=2_000, slots=100, pause=0.01)
            for peer in peers(quick=False)
            if peer.waits
        ),
    ]


def _adding() -> list[Case]:
    cases = [_ours("add-one", 1, "add_one", jobs=ADDS)]
    cases += [_theirs("add-one", 1, "add_one", peer, jobs=peer.adds) for peer in peers(quick=False)]
    cases.append(_ours("add-concurrent", 100, "add_concurrent", jobs=MANY, callers=100))
    cases += [
        _theirs("add-concurrent", 100, "add_concurrent", PEERS[name], jobs=jobs, callers=100)
        for name, jobs in (("bullmq", MANY), ("bullmq-py", ADDS))
    ]
    for size in BULKS:
        cases.append(_ours("add-bulk", size, "add_bulk", jobs=MANY, size=size))
        cases += [
            _theirs("add-bulk", size, "add_bulk", peer, jobs=MANY, size=size)
            for peer in peers(quick=False)
            if size in peer.bulk
        ]
        cases.append(_other_client(size, MANY))
    return cases


def _latency() -> list[Case]:
    jobs = 600
    return [
        Case("redis/latency/corral/10", "latency", "across", {"jobs": jobs, "gap": GAP}, store="redis"),
        *(
            _theirs("latency", peer.best, "latency", peer, jobs=jobs, gap=GAP, slots=peer.best)
            for peer in peers(quick=False)
        ),
    ]


def _backlog() -> list[Case]:
    """Filling takes a minute, so it is done once."""
    cases = []
    for waiting in WAITING:
        key, rest = f"redis/backlog-{waiting}", {"waiting": waiting, "samples": 3_000}
        cases.append(Case(f"{key}/corral/1", "backlog", "on_redis", {**rest, "turns": 200}, once=True, store="redis"))
        cases.append(Case(f"{key}/bullmq/1", "backlog", "of_a_peer", {**rest, "peer": "bullmq"}, True, "redis"))
    return cases


# -- the quick run -----------------------------------------------------------------------------------------------------


def _quick() -> list[Case]:
    cases = [_ours("drain-all", 200, "drain", jobs=DRAIN, slots=200, keep="all")]
    for peer in peers(quick=True):
        jobs, slots = (DRAIN, 200) if peer.name == "bullmq" else (2_000, peer.best)
        cases.append(_theirs("drain-all", slots, "drain", peer, jobs=jobs, slots=slots))
    cases.append(_ours("add-one", 1, "add_one", jobs=2_000))
    cases += [_theirs("add-one", 1, "add_one", PEERS[name], jobs=2_000) for name in ("bullmq", "bullmq-py")]
    cases.append(_ours("add-concurrent", 100, "add_concurrent", jobs=10_000, callers=100))
    cases.append(_ours("add-bulk", 1_000, "add_bulk", jobs=10_000, size=1_000))
    cases.append(_theirs("add-bulk", 1_000, "add_bulk", PEERS["bullmq"], jobs=10_000, size=1_000))
    cases.append(_other_client(1_000, 10_000))
    cases.append(Case("redis/latency/corral/10", "latency", "across", {"jobs": 200, "gap": GAP}, store="redis"))
    cases.append(_theirs("latency", 100, "latency", PEERS["bullmq"], jobs=200, gap=GAP, slots=100))
    return cases
