import asyncio
from urllib.request import urlopen

from corral import Corral
from corral.observe.outlook import Outlook
from corral.observe.probes import Probes

app = Corral("sqlite:///corral.db")


@app.queue("mail").job("welcome")
async def welcome(name: str) -> None: ...


def ask(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return str(answer.read().decode())


async def main() -> None:
    async with app:
        worker = await app.worker()
        with Probes(Outlook(health_port=0)) as probes:  # 0: a port that is free
            probes.watch(worker)
            async with worker:
                print(await asyncio.to_thread(ask, probes.ports["health"], "/livez"))


asyncio.run(main())
# -> ok
