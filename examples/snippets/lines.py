import asyncio
import json
import logging

from corral import Corral
from corral.observe.logs import Structured

log = logging.getLogger("shop")
app = Corral("sqlite:///corral.db")


class Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = json.loads(Structured("json").format(record))
        print(line["msg"], line["to"], "in", line["queue"], line["job"], "attempt", line["attempt"])


@app.queue("mail").job("welcome")
async def welcome(name: str) -> None:
    log.warning("no address", extra={"to": name})  # an ordinary line of your own


async def main() -> None:
    log.addHandler(Shown())
    async with app, await app.worker():
        await (await welcome.add("Ann")).result(timeout=10)


asyncio.run(main())
# -> no address Ann in mail welcome attempt 1
