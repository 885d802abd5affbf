import asyncio

from corral import Corral, Dag

app = Corral("sqlite:///corral.db")
log: list[str] = []


@app.queue("data").job("prepare")
async def prepare(name: str) -> None:
    log.append(name)


@app.queue("web").job("publish")
async def publish() -> None: ...


async def main() -> None:
    dag = Dag()
    dag.add("extract", prepare.node("extract"))
    dag.add("clean", prepare.node("clean"), after=["extract"])
    dag.add("index", prepare.node("index"), after=["extract"])
    dag.add("publish", publish.node(), after={"clean": "fail", "index": "ignore"})
    async with app, await app.worker():
        flow = await app.flow.add(dag)
        await flow["publish"].result(timeout=10)
        print(log[0], sorted(log[1:]))
        # -> extract ['clean', 'index']


asyncio.run(main())
