"""The routes, a module per subject. `ROUTERS` is the order in which they are tried."""

from fastapi import APIRouter

from corral.http.routes import events

ROUTERS: tuple[APIRouter, ...] = (events.router,)
