"""What an error reply means: call again, look for the server again, or an error of corral's tree."""

import re
from collections.abc import Callable, Mapping
from enum import Enum

from corral.errors import (
    ConfigError,
    CorralError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
)
from corral.storage.redis.url import Place

#: Error code of a script -> the error it stands for, built from the detail.
Raisers = Mapping[str, Callable[[str], CorralError]]
_NONE: Raisers = {}


class Remedy(Enum):
    """What to do about an error reply."""

    LOAD = "load"  #: the server does not have the script: send it and call again
    WAIT = "wait"  #: the server is busy with itself: call again in a moment
    MOVE = "move"  #: another server is responsible: look for it and call again
    NONE = "none"  #: the call failed


# ASK: a slot is being moved and its keys are on two nodes. A script that saw half of them would do damage: wait.
_REMEDIES = {
    "NOSCRIPT": Remedy.LOAD,
    "LOADING": Remedy.WAIT,
    "BUSY": Remedy.WAIT,
    "TRYAGAIN": Remedy.WAIT,
    "ASK": Remedy.WAIT,
    "NOREPLICAS": Remedy.WAIT,
    "CLUSTERDOWN": Remedy.MOVE,
    "MOVED": Remedy.MOVE,
    "READONLY": Remedy.MOVE,
    "MASTERDOWN": Remedy.MOVE,
    "UNBLOCKED": Remedy.MOVE,
}
#: Before 7.0, what a command said inside a script comes wrapped: "ERR Error running script …: -READONLY You can't …".
_WRAPPED = re.compile(r"^ERR Error (?:running|compiling) script.*?: -?(?=(?:[A-Z]{3,} ))", re.DOTALL)
#: What a script raises; every version wraps it in other words.
_OWN = re.compile(r"CORRAL<(\w+)\|(.*?)>(?: script: | *$)", re.DOTALL)
#: How a server puts it that a script may not do something: from 7.0 on, and before.
_NOT_ALLOWED = ("ACL failure in script", "The user executing the script can't")
#: From 7.0 on, where in the script it happened stands at the end.
_WHERE = re.compile(r" script: \w+, on @\w+:\d+\.$")


def plain(text: str) -> str:
    """An error reply without what the server wraps around the error of a script."""
    return _WHERE.sub("", _WRAPPED.sub("", text))


def remedy(text: str) -> Remedy:
    """What to do about an error reply."""
    if "max number of clients" in text:
        return Remedy.WAIT
    return _REMEDIES.get(plain(text).partition(" ")[0], Remedy.NONE)


def retriable(text: str) -> bool:
    """Whether the same call may succeed in a moment."""
    return remedy(text) is not Remedy.NONE


def error_of(text: str, *, doing: str, queue: str, place: Place, raisers: Raisers = _NONE) -> CorralError:
    """The error to raise for a reply that nothing can be done about."""
    if own := _OWN.search(text):
        code, detail = own.groups()
        builder = raisers.get(code)
        return builder(detail) if builder else StorageError(f"{doing} was refused: {code} {detail}".rstrip())
    said = plain(text)
    if any(words in said for words in _NOT_ALLOWED):
        said = f"NOPERM {said}"
    where = f" in queue {queue!r}" if queue else ""
    match said.partition(" ")[0]:
        case "OOM":
            return StorageFullError(
                f"the Redis server at {place} has no memory left for {doing}{where}; raise its maxmemory or remove jobs"
            )
        case "WRONGTYPE":
            return StorageCorruptError(f"{doing} found a key of the wrong type{where}: {text}")
        case "NOAUTH" | "WRONGPASS":
            return ConfigError(f"{_who(place)} may not log in at {place}: {_auth_way_out(said, place)}", key="url")
        case "NOPERM":
            return StorageError(
                f"{_who(place)} may not do what {doing} needs at {place}: {said}; grant it to the user with ACL SETUSER"
            )
        case "MISCONF":
            return StorageFullError(f"the Redis server at {place} cannot save to its disk and takes no writes: {said}")
    return StorageError(f"{doing} failed{where}: {text}")


def _who(place: Place) -> str:
    return f"user {place.user!r}" if place.user else "the default user"


def _auth_way_out(said: str, place: Place) -> str:
    if said.startswith("NOAUTH") or not place.password:
        return "the server wants a password; put it into the URL, redis://user:password@host"
    return "the password is wrong or the user is switched off; change it in the URL or with ACL SETUSER"
