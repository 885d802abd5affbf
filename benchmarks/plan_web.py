"""What is measured of the read model and the HTTP API, on both engines. Keys are `web/FIGURE/STORE`."""

from benchmarks.plan import Case, Parameter

QUEUES = 200
PAYLOAD = 3_000_000
#: Failed jobs of the full run, and of a quick one.
FAILED, FEW_FAILED = 1_000_000, 50_000
#: Live streams at once, beside a single one.
STREAMS = 50
STORES = {"redis": "redis", "sqlite": ""}


def plan(quick: bool) -> list[Case]:
    """The cases of one round: the read model first, then the API, then Bull Board, within one case."""
    samples = 5 if quick else 15
    jobs = FEW_FAILED if quick else FAILED
    return [
        case
        for name, store in STORES.items()
        for case in (
            _case("overview", name, store, False, queues=QUEUES, samples=samples),
            _case("payloads", name, store, False, size=PAYLOAD, samples=samples),
            _case("failed", name, store, True, jobs=jobs, samples=samples),
            _streams(name, store, 20 if quick else 30),
        )
    ]


def _streams(name: str, store: str, seconds: int) -> Case:
    return Case(f"web/streams/{name}", "streams", "streams", {"many": STREAMS, "seconds": seconds}, store=store)


def _case(figure: str, name: str, store: str, once: bool, **parameters: Parameter) -> Case:
    return Case(f"web/{figure}/{name}", "web", figure, parameters, once=once, store=store)
