"""Several worker processes seen as one: a supervisor asks its children, and answers for all of them."""

import http.client
import socket
from collections.abc import Callable, Mapping
from typing import TypeAlias

from corral.observe.checks import ALIASES, Answer, Check, respond
from corral.observe.listener import Ask

#: How long a child may take to answer (seconds). One that holds the interpreter for longer is not well.
PATIENCE = 2.0

#: The Unix sockets of the children that run, by their number. A child that was replaced has another one.
Sockets: TypeAlias = Callable[[], Mapping[int, str]]


class UnreachableError(Exception):
    """A child does not listen (yet), or not any more."""


class CrowdHealth:
    """Health of all children. One that is only being started is no sick one; one that answers 503, or nothing, is."""

    def __init__(self, sockets: Sockets, count: int) -> None:
        self._sockets = sockets
        self._count = count

    def live(self) -> bool:
        """Whether no child is sick."""
        return all(self._sickness(number, "livez") is None for number in range(self._count))

    def answer(self, ask: Ask) -> Answer | None:
        """The answer to `/livez` and its kin: a check for each child."""
        endpoint = ask.path.strip("/").partition("/")[0]
        endpoint = ALIASES.get(endpoint, endpoint)
        if endpoint not in ("livez", "readyz", "startupz"):
            return None
        checks = {endpoint: [self._check(number, endpoint) for number in range(self._count)]}
        return respond(checks, ask.path, query=ask.query, accept=ask.accept, details=ask.local)

    def _check(self, number: int, endpoint: str) -> Check:
        return Check(f"process-{number}", lambda: self._sickness(number, endpoint))

    def _sickness(self, number: int, endpoint: str) -> str | None:
        path = self._sockets().get(number)
        try:
            if path is None:
                raise UnreachableError("it is not running")
            status, text = fetch(path, f"/{endpoint}?verbose")
        except UnreachableError as error:
            return None if endpoint == "livez" else str(error)
        except TimeoutError:
            return f"no answer within {PATIENCE:g} s"
        return None if status == 200 else "; ".join(row[3:] for row in text.splitlines() if row.startswith("[-]"))


def fetch(path: str, target: str) -> tuple[int, str]:
    """GET over a Unix socket. Raises: UnreachableError, TimeoutError."""
    connection = _Connection(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"it does not listen: {error}") from None
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)
