"""Stores that fail in one respect, over the store of any engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from corral import Corral, Storage


class Faulty:
    """A store that passes every call on to another one. Tests override what is to fail."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.inner.__aexit__(*error)


@asynccontextmanager
async def lent_to(app: Corral, store: Faulty) -> AsyncIterator[None]:
    """Have the application, which is closed, use this store in place of its own."""
    async with store:
        vars(app)["_storage"] = store
        try:
            yield
        finally:
            vars(app)["_storage"] = None
