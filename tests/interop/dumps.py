"""The golden dumps: what BullMQ wrote for each scene, and what it then said about it."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .keys import PLACEHOLDER, Dump
from .scenes import Scene

GOLDEN = Path(__file__).parent / "golden"


class Golden:
    """One scene as recorded."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self.at: int = recorded["at"]  #: epoch ms at the end of the scene
        self.keys: Dump = recorded["keys"]
        #: queue -> what BullMQ's getters answered: `counts`, `paused`, `jobs` by id, `schedulers`
        self.queues: Mapping[str, Mapping[str, Any]] = recorded["queues"]

    def due(self, queue: str) -> dict[str, int]:
        """When each delayed job falls due, epoch ms."""
        return {job_id: int(score) // 4096 for job_id, score in self.keys.get(f"{queue}:delayed", ["zset", []])[1]}

    def events(self, queue: str) -> list[dict[str, str]]:
        """The fields of the queue's events, oldest first."""
        return [fields for _, fields in self.keys.get(f"{queue}:events", ["stream", []])[1]]


def write(topic: str, library: Mapping[str, str], scenes: Mapping[str, Mapping[str, Any]]) -> Path:
    """Store a topic's scenes, one a line."""
    path = GOLDEN / f"{topic}.json"
    lines = [f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in scenes.items()]
    path.write_text(f'{{"made by": {json.dumps(library)}, "scenes": {{\n' + ",\n".join(lines) + "\n}}\n")
    return path


@cache
def _topic(topic: str) -> Mapping[str, Any]:
    scenes: Mapping[str, Any] = json.loads((GOLDEN / f"{topic}.json").read_text())["scenes"]
    return scenes


def golden(scene: Scene, prefix: str = PLACEHOLDER) -> Golden:
    """The recording of a scene, as if it had been made under this prefix."""
    text = json.dumps(_topic(scene.topic)[scene.name])
    return Golden(json.loads(text.replace(PLACEHOLDER, prefix)))
