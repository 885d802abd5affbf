"""Ready-made AI jobs: answers in conversations, and texts made comparable, by any server that speaks OpenAI's API.

See `docs/handlers/ai.md`.
"""

from corral.handlers.kit.extra import need

need("ai", "sqlalchemy", "aiosqlite", "alembic", "httpx2")  # before anything below imports what the extra brings

from corral.handlers.ai.bundle import JOBS, bundle, model_for  # noqa: E402
from corral.handlers.ai.completions import Completed, Completions  # noqa: E402
from corral.handlers.ai.conversations import Conversations, Message, NotOwnerError, SqlConversations  # noqa: E402
from corral.handlers.ai.dryrun import DryModel  # noqa: E402
from corral.handlers.ai.embedding import Embeddings, Stored  # noqa: E402
from corral.handlers.ai.model import Completion, Embedded, Model, ModelError, OnText, Question, Said, estimate  # noqa: E402
from corral.handlers.ai.openai import OpenAi  # noqa: E402
from corral.handlers.ai.payload import GenerateCompletion, GenerateEmbeddings, Passage  # noqa: E402
from corral.handlers.ai.settings import AiSettings  # noqa: E402
from corral.handlers.ai.tables import SCHEMA  # noqa: E402
from corral.handlers.ai.vectors import Match, Vectors  # noqa: E402

__all__ = [
    "JOBS",
    "SCHEMA",
    "AiSettings",
    "Completed",
    "Completion",
    "Completions",
    "Conversations",
    "DryModel",
    "Embedded",
    "Embeddings",
    "GenerateCompletion",
    "GenerateEmbeddings",
    "Match",
    "Message",
    "Model",
    "ModelError",
    "NotOwnerError",
    "OnText",
    "OpenAi",
    "Passage",
    "Question",
    "Said",
    "SqlConversations",
    "Stored",
    "Vectors",
    "bundle",
    "estimate",
    "model_for",
]
