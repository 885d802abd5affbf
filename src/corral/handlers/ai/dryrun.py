"""Dry run: what happens while no model is configured. Nobody is asked, and every answer says so."""

from collections.abc import Sequence

from corral.handlers.ai.model import Completion, Embedded, OnText, Question, estimate


class DryModel:
    """Answers at once, always the same, for nothing."""

    def __repr__(self) -> str:
        return "<no model: AI_API_KEY is not set>"

    async def complete(self, question: Question, on_text: OnText | None = None) -> Completion:
        """Say that nobody was asked."""
        content = f"(dry run: {question.model} was not asked; set AI_API_KEY or AI_URL)"
        if on_text is not None:
            await on_text(content)
        tokens = sum(estimate(said.content) for said in question.messages)
        return Completion(
            content=content, model=question.model, prompt_tokens=tokens, completion_tokens=0, dry_run=True
        )

    async def embed(self, texts: Sequence[str], model: str) -> Embedded:
        """No vectors: invented ones would be found again."""
        return Embedded(vectors=(), model=model, tokens=sum(map(estimate, texts)), dry_run=True)
