"""What a worker process shows to probes and scrapes: ports, a file that is touched, a socket for its supervisor."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from corral.errors import ConfigError
from corral.observe.checks import Answer, respond
from corral.observe.crowd import CrowdHealth, Sockets
from corral.observe.health import WorkerHealth
from corral.observe.listener import Ask, Listener, Route
from corral.observe.outlook import Outlook
from corral.worker.worker import BaseWorker

#: How often the file of a process that lives is touched (seconds).
TOUCH = 2.0


class Probes:
    """Opens what an outlook names, for the time of a block. `watch` the worker before it runs.

    Raises:
        ConfigError: a port that is taken, or metrics without `corral[metrics]`.
    """

    def __init__(self, outlook: Outlook, *, engine: str = "") -> None:
        self._outlook = outlook
        self._engine = engine
        self._stack = ExitStack()
        self._health = WorkerHealth(stuck_after=outlook.stuck_after)
        self._metrics: Route | None = None
        self.ports: Mapping[str, int] = {}  #: by what they show, once they are open
        if outlook.counts:
            import corral.observe.prometheus  # noqa: F401  # so that it is missed now, not when the first scrape comes

    def __enter__(self) -> Self:
        try:
            outlook = self._outlook
            self.ports = listen(self._stack, outlook, self.health, self.metrics)
            if outlook.socket is not None:
                self._stack.enter_context(Listener(self.health, self.metrics, path=outlook.socket))
            if outlook.file is not None:
                self._stack.enter_context(AliveFile(outlook.file, self._health.live))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def watch(self, worker: BaseWorker) -> None:
        """Show this worker."""
        self._health.watch(worker)
        if self._outlook.counts:
            from corral.observe.prometheus import WorkerMetrics, page  # an extra: only for who wants metrics

            metrics = WorkerMetrics(worker, engine=self._engine)
            worker.watch(metrics)

            def answer(ask: Ask) -> Answer:
                text, content_type = page(metrics.collect(), ask.accept)
                return Answer(200, content_type, text)

            self._metrics = answer

    def health(self, ask: Ask) -> Answer | None:
        """The answer to `/livez` and its kin."""
        return respond(self._health.checks, ask.path, query=ask.query, accept=ask.accept, details=ask.local)

    def metrics(self, ask: Ask) -> Answer | None:
        """The answer to `/metrics`."""
        return self._metrics(ask) if self._metrics is not None and ask.path.rstrip("/") == "/metrics" else None


def listen(stack: ExitStack, outlook: Outlook, health: Route, metrics: Route) -> dict[str, int]:
    """Open the ports that an outlook names; answers them by what they show. Raises: ConfigError."""
    ports: dict[str, int] = {}
    shared = outlook.health_port is not None and outlook.health_port == outlook.metrics_port
    wanted: list[tuple[str, int | None, tuple[Route, ...]]] = [
        ("health", outlook.health_port, (health, metrics) if shared else (health,)),
        ("metrics", None if shared else outlook.metrics_port, (metrics,)),
    ]
    for name, port, routes in wanted:
        if port is not None:
            ports[name] = stack.enter_context(Listener(*routes, host=outlook.host, port=port)).port
    if shared:
        ports["metrics"] = ports["health"]
    return ports


@contextmanager
def crowd_probes(outlook: Outlook, sockets: Sockets, count: int) -> Iterator[Mapping[str, int]]:
    """What a supervisor shows of its `count` children; gives the ports. Raises: ConfigError, as `Probes`."""
    health = CrowdHealth(sockets, count)
    metrics: Route = _nothing
    if outlook.counts:
        from corral.observe.prometheus import CrowdMetrics  # an extra: only for who wants metrics

        metrics = CrowdMetrics(sockets).answer
    with ExitStack() as stack:
        ports = listen(stack, outlook, health.answer, metrics)
        if outlook.file is not None:
            stack.enter_context(AliveFile(outlook.file, health.live))
        yield ports


def _nothing(_: Ask) -> Answer | None:
    return None


class AliveFile:
    """A file that is touched as long as the process lives, for probes that only look at files.

    Raises:
        ConfigError: it cannot be written.
    """

    def __init__(self, path: str, live: Callable[[], bool]) -> None:
        self._path = Path(path)
        self._live = live
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="corral-alive", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._path.touch()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}", key="health_file") from None
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._stop.wait(TOUCH):
            if self._live():
                try:
                    os.utime(self._path)
                except OSError:  # somebody cleaned up: it is made anew, or cannot be, and then it is old
                    self._touch_again()

    def _touch_again(self) -> None:
        try:
            self._path.touch()
        except OSError:
            return
