"""What a look finds."""

from typing import Literal, TypedDict

from msgspec import Struct

Status = Literal["ok", "warn", "fail"]
#: From well to worst.
ORDER: tuple[Status, ...] = ("ok", "warn", "fail")
#: What the whole is called.
WHOLE = {"ok": "healthy", "warn": "degraded", "fail": "unhealthy"}


class Found(Struct, frozen=True):
    """What one check says. The text is for people, and shown to whoever may read the job."""

    status: Status
    text: str = ""


class Look(Struct, frozen=True, kw_only=True):
    """One check's answer, and how long it took."""

    name: str
    status: Status
    text: str
    ms: int


class Change(Struct, frozen=True, kw_only=True):
    """Somebody is to be told: a check is in trouble, still is, or is well again."""

    name: str
    status: Status
    text: str
    since: int  #: ms: when the trouble began, or ended
    kind: Literal["trouble", "still", "over"]


class Checked(TypedDict):
    """One check, in the result of a job."""

    name: str
    status: Status
    text: str
    ms: int


class Health(TypedDict):
    """The result of a job. `told` are the checks about which somebody was."""

    status: str  #: healthy, degraded or unhealthy: the worst of the checks
    checks: list[Checked]
    told: list[str]


def worst(statuses: "list[Status]") -> Status:
    """The worst of them; ok when there are none."""
    return max(statuses, key=ORDER.index, default="ok")
