"""The bundle: the AI jobs as an application takes them in."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator

from corral.app.bundle import Bundle
from corral.errors import PayloadError
from corral.handlers.ai.completions import Completed, Completions
from corral.handlers.ai.conversations import Conversations, SqlConversations
from corral.handlers.ai.dryrun import DryModel
from corral.handlers.ai.embedding import Embeddings, Stored
from corral.handlers.ai.model import Model
from corral.handlers.ai.openai import OpenAi
from corral.handlers.ai.payload import GenerateCompletion, GenerateEmbeddings
from corral.handlers.ai.settings import AiSettings
from corral.handlers.ai.vectors import Vectors
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

T = TypeVar("T", GenerateCompletion, GenerateEmbeddings)

JOBS = ("generate-completion", "generate-embeddings")


def bundle(
    settings: AiSettings | None = None, *, database: Database, web: Web | None = None, model: Model | None = None,
    conversations: Conversations | None = None, queue: str = "ai-tasks", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The AI jobs, for `app.include(bundle(database=…))`. Reads the settings; asks nobody.

    Args:
        settings: where the models are; by default what the environment, `.env` and `corral.toml` say.
        database: where conversations and vectors are kept.
        web: another way to the server of the settings.
        model: another way to ask than by HTTP.
        conversations: another place where conversations are.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = AiSettings.load() if settings is None else settings
    asked = model or model_for(settings, web=web)
    completions = Completions(settings, asked, conversations or SqlConversations(database, clock=clock), clock=clock)
    embeddings = Embeddings(settings, asked, Vectors(database, clock=clock))

    async def complete(ctx: JobContext, data: GenerateCompletion) -> Completed:
        """Answer a message. A second run asks nobody again: see `Completions.answer`."""
        return await completions.answer(ctx, data)

    async def embed(ctx: JobContext, data: GenerateEmbeddings) -> Stored:
        """Make texts comparable. A second run goes on after the last batch: see `Embeddings.store`."""
        return await embeddings.store(ctx, data)

    # A model that is not allowed is refused when the job is added, with everything else that is wrong with it.
    complete.__annotations__["data"] = Annotated[GenerateCompletion, AfterValidator(lambda it: checked(it, settings))]
    embed.__annotations__["data"] = Annotated[GenerateEmbeddings, AfterValidator(lambda it: checked(it, settings))]
    # A job's own time is a little more than a request's, so that the request is what ends and says why.
    made = Bundle("ai", queue=queue, attempts=3, backoff=Exponential(5), timeout=settings.ai_timeout + 10)
    made.job(JOBS[0])(complete)
    made.job(JOBS[1], timeout=20 * settings.ai_timeout)(embed)
    return made


def model_for(settings: AiSettings, *, web: Web | None = None) -> Model:
    """The way to ask that the settings choose. Raises: ConfigError."""
    if settings.dry_run:
        return DryModel()
    # The operator names the server, so it may be on this machine.
    web = web or Web(trusted=[settings.ai_url], timeout=settings.ai_timeout, ca_file=settings.ai_ca_file)
    return OpenAi(
        web, settings.ai_url, settings.ai_api_key, tokens_field=settings.ai_tokens_field, timeout=settings.ai_timeout
    )


def checked(data: T, settings: AiSettings) -> T:
    """The payload, when its model is allowed. Raises: PayloadError."""
    allowed = settings.allowed
    if data.model is not None and allowed is not None and data.model not in allowed:
        raise PayloadError(f"model {data.model!r} is not one of {', '.join(sorted(allowed))}")
    return data
