"""What a type checker knows of handlers. `make check` reads this file; running it shows that the calls are real."""

from collections.abc import AsyncIterator
from typing import assert_type

from pydantic import BaseModel

from corral import (
    Added,
    Batch,
    BatchContext,
    BatchJob,
    ChildrenOf,
    Corral,
    JobContext,
    JobDefinition,
    JobHandle,
    SyncBatchJob,
    SyncJobContext,
    handles,
)


class Page(BaseModel):
    url: str


class Database:
    pass


async def connect() -> AsyncIterator[Database]:
    yield Database()


app = Corral("sqlite:///:memory:")
app.provide(Database, connect, scope="job")
work = app.queue("work")


@work.job("with-services")
async def with_services(ctx: JobContext, page: Page, database: Database) -> int:
    return len(page.url)


@work.job("keyword-only")
async def keyword_only(page: Page, *, database: Database) -> bytes:
    return b""


@work.job("no-payload")
def no_payload(ctx: SyncJobContext, *, database: Database) -> str:
    return ""


@work.job("index", batch=Batch(10))
async def index(ctx: BatchContext, jobs: list[BatchJob[Page]], database: Database) -> None:
    for job in jobs:
        assert_type(job.data, Page)


@work.job("index-blocking", batch=Batch(10))
def index_blocking(ctx: BatchContext, jobs: list[SyncBatchJob[Page]]) -> None:
    for job in jobs:
        assert_type(job.data, Page)


@work.handlers
class Pages:
    """Handlers in a class."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @handles("fetch")
    async def fetch(self, ctx: JobContext, page: Page) -> float:
        return 1.0

    @handles("measure")
    def measure(self, page: Page) -> int:
        return len(page.url)


async def adding(ctx: JobContext, page: Page) -> None:
    """Read by the type checker alone."""
    assert_type(await with_services.add(page), JobHandle[int])
    assert_type(await Pages.fetch.add(page), JobHandle[float])
    assert_type(await ctx.add(with_services, page), Added)
    assert_type(await ctx.add("work", "with-services", {"url": ""}), Added)
    assert_type(await ctx.add_children(Pages.measure, [page]), list[Added])
    found = await ctx.children_of(Pages.measure)
    assert_type(found, ChildrenOf[int])
    assert_type(found.results, list[int])


def test_services_are_not_part_of_a_declarations_type() -> None:
    assert_type(with_services, JobDefinition[Page, int])
    assert_type(keyword_only, JobDefinition[Page, bytes])
    assert_type(no_payload, JobDefinition[None, str])


def test_a_batch_handlers_payload_is_that_of_one_job() -> None:
    assert_type(index, JobDefinition[Page, object])
    assert_type(index_blocking, JobDefinition[Page, object])


def test_a_method_is_a_declaration_on_its_class_and_a_method_on_its_object() -> None:
    assert_type(Pages(Database()).measure(Page(url="abc")), int)
    assert Pages.measure.new(Page(url="abc")).data == '{"url":"abc"}'
