"""The routes, a module per subject. `ROUTERS` is the order in which they are tried: fixed words before parameters."""

from fastapi import APIRouter

from corral.http.routes import (
    acting,
    adding,
    audit,
    bulk,
    cleaning,
    events,
    failures,
    flows,
    jobs,
    meta,
    metrics,
    operations,
    queues,
    schedules,
    system,
    tokens,
    workers,
)

ROUTERS: tuple[APIRouter, ...] = (
    meta.router,
    events.router,
    queues.router,
    cleaning.router,
    bulk.router,
    adding.router,
    jobs.router,
    acting.router,
    failures.router,
    flows.router,
    schedules.router,
    workers.router,
    metrics.router,
    operations.router,
    audit.router,
    tokens.router,
    system.router,
)
