import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from corral import Corral, Dedup
from corral.observe.prometheus import count_adds

app = Corral("sqlite:///corral.db")


@app.queue("mail").job("welcome")
async def welcome(name: str) -> None: ...


registry = CollectorRegistry()  # or prometheus_client.REGISTRY, where the page of your process is made already
registry.register(count_adds(app))


async def main() -> None:
    async with app:
        for _ in range(3):
            await welcome.add("Ann", dedup=Dedup("welcome-ann"))


asyncio.run(main())
for line in generate_latest(registry).decode().splitlines():
    if line.startswith("corral_jobs_added_total"):
        print(line)
# -> corral_jobs_added_total{job="welcome",queue="mail",result="added"} 1.0
# -> corral_jobs_added_total{job="welcome",queue="mail",result="deduplicated"} 2.0
