"""The power cut: what an acknowledged job is worth when the machine goes dark.

    python -m tests.faults.power_cut --cuts 50 [--synchronous normal]

The store lies on an ext4 file system inside a file. At a random moment its processes are stopped and the file is
copied: the copy has what reached the "disk", and nothing that only the page cache knew. Mounting the copy is the
reboot. (Without the stop the copy, which takes some 20 ms, would show blocks of different moments, as no cut does.)

Every job acknowledged before the copy began must be in the copy's store. Prints one line of JSON; ends with 1 when a
job was lost or the store is inconsistent. With `--synchronous normal` losses are reported and not held against it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import ledger
from tests.faults.actors import Scene, produce, work
from tests.faults.crew import drain
from tests.faults.forks import Actor, answer_of, lines, prepare, start

DISK_MEGABYTES = 64
#: The power fails within so many seconds after the first acknowledgement.
MOMENT = 1.0
FIRST_ACK_SECONDS = 20.0


@dataclass
class Tally:
    """What happened."""

    synchronous: str
    seed: int
    cuts: int = 0
    acked: int = 0
    completions: int = 0
    lost: int = 0
    cuts_with_loss: int = 0
    inconsistent: int = 0
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def blame(self, lost: list[str], broken: list[str]) -> None:
        """Count, and keep the first few in words."""
        self.lost += len(lost)
        self.cuts_with_loss += bool(lost)
        self.inconsistent += len(broken)
        self.complaints += (broken + lost)[: max(0, 10 - len(self.complaints))]


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a disk image. Needs root."""
    place.mkdir()
    _run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        _run("umount", "--lazy", place)


def new_disk(image: Path, megabytes: int = DISK_MEGABYTES) -> Path:
    """An empty ext4 file system in a file."""
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    _run("mkfs.ext4", "-q", "-F", image)
    return image


def cut(folder: Path, tally: Tally, rng: random.Random) -> None:
    """One life of a store, one cut, one reboot."""
    image = new_disk(folder / "disk")
    before, after = folder / "before", folder / "after"
    before.mkdir()
    with mounted(image, folder / "running") as disk:
        scene = Scene(before, disk=disk, synchronous=tally.synchronous, crafts=True)
        actors = _actors(scene, tally.seed + tally.cuts)
        try:
            _await_first_ack(scene)
            time.sleep(rng.uniform(0, MOMENT))
            shutil.copytree(before, after)  # the ledgers first: what they say was true before the cut
            for actor in actors:
                os.kill(actor.pid, signal.SIGSTOP)
            _run("cp", "--sparse=always", image, folder / "copy")
        finally:
            for actor in actors:
                actor.kill()
    with mounted(folder / "copy", folder / "rebooted") as disk:
        _inspect(Scene(after, disk=disk, synchronous=tally.synchronous, crafts=True), tally)
    tally.cuts += 1


def _actors(scene: Scene, seed: int) -> list[Actor]:
    return [
        start("worker", lambda ready: work(scene, ready), scene.errors),
        start("producer", lambda ready: produce(scene, ready, seed), scene.errors),
    ]


def _await_first_ack(scene: Scene) -> None:
    deadline = time.monotonic() + FIRST_ACK_SECONDS
    while not lines(scene.acks):
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing was ever acknowledged: {lines(scene.errors)[-5:]}")
        time.sleep(0.002)


def _inspect(scene: Scene, tally: Tally) -> None:
    """Read the books, then let a worker finish what is left and read them again."""
    tally.acked += len(lines(scene.acks))
    tally.completions += len(lines(scene.verdicts))
    tally.blame(*_books(scene, drained=False))
    worker = start("worker", lambda ready: work(scene, ready), scene.errors)
    answer_of(lambda: drain(scene), scene.errors)
    if (status := worker.stop()) != 0:
        tally.blame([], [f"exit: the worker after the reboot ended with {status}"])
    _, broken = _books(scene, drained=True)
    tally.blame([], broken + ledger.noise(scene.errors))


def _books(scene: Scene, *, drained: bool) -> tuple[list[str], list[str]]:
    def read() -> str:
        _, lost, broken = ledger.check_after_cut(scene, drained=drained)
        return json.dumps([lost, broken])

    lost, broken = json.loads(answer_of(read, scene.errors))
    return lost, broken


def run(cuts: int, *, synchronous: str, seed: int) -> Tally:
    """Cut so many times."""
    tally = Tally(synchronous, seed)
    rng = random.Random(seed)
    began = time.monotonic()
    prepare()
    for _ in range(cuts):
        with tempfile.TemporaryDirectory(prefix="corral-power-") as folder:
            cut(Path(folder), tally, rng)
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.power_cut")
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--synchronous", choices=("full", "normal"), default="full")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    arguments = parser.parse_args()
    tally = run(arguments.cuts, synchronous=arguments.synchronous, seed=arguments.seed)
    print(json.dumps(vars(tally)))
    return 1 if tally.inconsistent or (tally.lost and tally.synchronous == "full") else 0


if __name__ == "__main__":
    sys.exit(main())
