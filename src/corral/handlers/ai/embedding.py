"""Making texts comparable."""

import logging
from collections.abc import Sequence
from typing import NotRequired, TypedDict

from corral.handlers.ai.model import Model
from corral.handlers.ai.payload import GenerateEmbeddings
from corral.handlers.ai.settings import AiSettings
from corral.handlers.ai.steer import steered
from corral.handlers.ai.vectors import Match, Vectors, text_id
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.ai")


class Stored(TypedDict):
    """What came of some texts. Their vectors are in the database: they would be too much for a result."""

    collection: str
    model: str
    ids: list[str]  #: of the texts, in their order
    stored: int
    unchanged: int  #: were there already, with the same text
    dimensions: int  #: 0 when nothing was made
    tokens: int
    dryRun: NotRequired[bool]


class Embeddings:
    """Makes vectors, keeps them and searches them: the jobs use it, and a handler of your own may."""

    def __init__(self, settings: AiSettings, model: Model, vectors: Vectors) -> None:
        self._settings = settings
        self._model = model
        self.vectors = vectors

    async def store(self, ctx: JobContext, data: GenerateEmbeddings) -> Stored:
        """Make the vectors of some texts, a batch at a time, and keep them.

        What is there already is not paid for again, so a later attempt goes on where an earlier one ended.

        Raises:
            Discard: it never will be answered. Retry: not now.
        """
        logger.debug("Processing job %s", ctx.id)
        model = data.model or self._settings.ai_embedding_model
        texts = [
            (text_id(text), text) if isinstance(text, str) else (text.id, text.text) for text in data.texts
        ]  # fmt: skip
        known = await self.vectors.known(data.collection, model, texts)
        wanted = list({id: (id, text) for id, text in texts if id not in known}.values())
        result: Stored = {
            "collection": data.collection, "model": model, "ids": [id for id, _ in texts], "stored": 0,
            "unchanged": len(texts) - len(wanted), "dimensions": 0, "tokens": 0,
        }  # fmt: skip
        size = self._settings.ai_batch
        for start in range(0, len(wanted), size):
            await self._batch(ctx, data.collection, model, wanted[start : start + size], result)
            await ctx.progress(100 * min(start + size, len(wanted)) // len(wanted))
        if not wanted:
            await ctx.progress(100)
        logger.debug("Job %s completed", ctx.id)
        return result

    async def _batch(
        self, ctx: JobContext, collection: str, model: str, texts: Sequence[tuple[str, str]], result: Stored
    ) -> None:
        with steered(ctx):
            made = await self._model.embed([text for _, text in texts], model)
        result["tokens"] += made.tokens
        if made.dry_run:
            result["dryRun"] = True
            return
        # Under the name that was asked for: servers answer with another one (`gpt-4` becomes `gpt-4-0613`).
        await self.vectors.put(collection, model, texts, made.vectors)
        result["stored"] += len(texts)
        result["dimensions"] = len(made.vectors[0])

    async def search(
        self, text: str, *, collection: str = "default", model: str | None = None, limit: int = 10, minimum: float = 0.0
    ) -> list[Match]:
        """The texts most like `text`: asks the model once. Nothing is found in a dry run.

        Raises:
            AuthError, BusyError, RefusedError, WebError, ModelError: the model did not answer.
        """
        model = model or self._settings.ai_embedding_model
        asked = await self._model.embed([text], model)
        if asked.dry_run:
            return []
        return await self.vectors.search(collection, asked.vectors[0], model=model, limit=limit, minimum=minimum)
