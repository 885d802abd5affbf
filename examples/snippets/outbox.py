import asyncio

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from corral import Corral
from corral.outbox import Outbox

app = Corral("sqlite:///corral.db")  # or Redis: the outbox feeds either
outbox = Outbox(app)
database = create_engine("sqlite:///shop.db")  # or PostgreSQL, MySQL …


@app.queue("orders").job("confirm")
async def confirm(data: dict[str, int]) -> None: ...


async def main() -> None:
    outbox.metadata.create_all(database)  # or a migration
    with Session(database) as session, session.begin():  # session.add(Order(…)) goes here
        outbox.add_sync(session, confirm, {"order": 1}, delay=60)
    async with app:
        carried = await outbox.relay(database).turn()
        print(carried, (await (await app.open_queue("orders")).counts()).delayed)
        # -> 1 1


asyncio.run(main())
