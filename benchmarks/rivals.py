"""The peers' side: each function is one measurement. What is measured runs in the peer's own environment."""

import json
import subprocess

from benchmarks.case import ROOT
from benchmarks.catalogue import PEERS, Peer
from benchmarks.measure import PATIENCE_SECONDS, Numbers, drain_with


def drain(
    folder: str, url: str, server: int, peer: str, jobs: int, slots: int, keep: str = "all", processes: int = 1,
    pause: float = 0.0,
) -> Numbers:  # fmt: skip
    """Fill a queue, then let worker processes empty it."""
    rival = PEERS[peer]
    settings: dict[str, object] = {"folder": folder, "url": url, "jobs": jobs}
    call(rival, "fill", settings)
    settings |= {"server": server, "slots": slots, "processes": processes, "pause": pause}
    if rival.environment.node:
        settings["keep"] = keep
    return drain_with(
        [rival.command("share", settings)] * processes, folder, jobs, server=server, environment=rival.surroundings()
    )


def add_one(folder: str, url: str, server: int, peer: str, jobs: int) -> Numbers:
    """One caller, one job at a time."""
    return call(PEERS[peer], "add_one", {"folder": folder, "url": url, "server": server, "jobs": jobs})


def add_concurrent(folder: str, url: str, server: int, peer: str, jobs: int, callers: int) -> Numbers:
    """Many callers in one process, each waiting for its own job."""
    parameters = {"folder": folder, "url": url, "server": server, "jobs": jobs, "callers": callers}
    return call(PEERS[peer], "add_concurrent", parameters)


def add_bulk(folder: str, url: str, server: int, peer: str, jobs: int, size: int, client: str = "") -> Numbers:
    """So many jobs a call. BullMQ may choose between two clients."""
    parameters: dict[str, object] = {"folder": folder, "url": url, "server": server, "jobs": jobs, "size": size}
    if client:
        parameters["client"] = client
    return call(PEERS[peer], "add_bulk", parameters)


def latency(folder: str, url: str, server: int, peer: str, jobs: int, gap: float, slots: int) -> Numbers:
    """From the call that adds to the first line of the handler, in another process that is otherwise idle."""
    rival = PEERS[peer]
    settings: dict[str, object] = {"folder": folder, "url": url, "jobs": jobs, "gap": gap}
    return drain_with(
        [rival.command("share", settings | {"slots": slots, "server": server})], folder, jobs,
        environment=rival.surroundings(), meanwhile=rival.command("produce", settings),
    )  # fmt: skip


def call(peer: Peer, verb: str, parameters: dict[str, object]) -> Numbers:
    """Run one verb of a driver. Raises: SystemExit with what it said when it failed."""
    answer = subprocess.run(
        peer.command(verb, parameters), cwd=ROOT, env=peer.surroundings(), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    if answer.returncode or not answer.stdout:
        raise SystemExit(f"{peer.title}: {verb} failed:\n{answer.stdout}{answer.stderr}")
    figures: Numbers = json.loads(answer.stdout.splitlines()[-1])
    return figures
