import asyncio

from corral import Corral, JobContext, WaitForChildren

app = Corral("sqlite:///corral.db")
reports = app.queue("reports", attempts=3)


@reports.job("chapter")
async def chapter(number: int) -> str:
    return f"chapter {number}"


@reports.job("book")
async def book(ctx: JobContext, chapters: int) -> str:
    await ctx.add_children(chapter, range(1, chapters + 1))  # the same ones in every run: none is added twice
    made = await ctx.children_of(chapter)
    if made.pending:
        raise WaitForChildren  # this job runs again when all have ended
    await ctx.add_on_complete("mail", "ready", {"book": ctx.id})  # with the completion, or not at all
    return ", ".join(made.results)


async def main() -> None:
    async with app, await app.worker():
        print(await (await book.add(3)).result(timeout=10))


asyncio.run(main())
# -> chapter 1, chapter 2, chapter 3
