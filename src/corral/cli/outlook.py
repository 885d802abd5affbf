"""Where a worker process is to be seen by probes and by Prometheus, as its settings say."""

import logging
import os
from collections.abc import Mapping

from corral.cli.settings import Settings
from corral.observe.outlook import SOCKET, Outlook

logger = logging.getLogger("corral.cli")


def outlook_of(settings: Settings) -> Outlook:
    """What a process shows that is nobody's child: its ports and its file."""
    return Outlook(
        health_port=settings.health_port,
        metrics_port=settings.metrics_port,
        host=settings.listen,
        file=settings.health_file,
        stuck_after=settings.health_stuck_after,
    )


def own_outlook(settings: Settings, *, supervised: bool) -> Outlook:
    """What this process shows. A child listens for its supervisor alone, which has the ports."""
    socket = os.environ.pop(SOCKET, None)  # taken out, so that what a handler starts does not listen there too
    if not supervised:
        return outlook_of(settings)
    return Outlook(
        socket=socket, metrics=socket is not None and settings.metrics_port is not None,
        stuck_after=settings.health_stuck_after,
    )  # fmt: skip


def tell_ports(ports: Mapping[str, int]) -> None:
    """Say where one has to ask: a port 0 was chosen by the system."""
    if ports:
        facts = {f"{name}_port": port for name, port in ports.items()}
        logger.info("listening", extra={"event": "worker.listening", **facts})
