import asyncio

from corral import Corral, handles

app = Corral("sqlite:///corral.db")
tasks = app.queue("ai-tasks", concurrency=4)


class Model:
    def answer(self, prompt: str) -> str:
        return prompt[::-1]


@tasks.handlers  # one object for each worker; @tasks.handlers(scope="job") makes one for each job
class Completions:
    def __init__(self, model: Model) -> None:
        self.model = model

    @handles("generate-completion", timeout=60, attempts=5)
    async def generate(self, prompt: str) -> str:
        return self.model.answer(prompt)


async def main() -> None:
    app.provide(Model, Model)
    async with app, await app.worker():
        print(await (await Completions.generate.add("desserts")).result(timeout=10))


asyncio.run(main())
# -> stressed
