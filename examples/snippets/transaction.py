import asyncio

import apsw

from corral import Corral

app = Corral("sqlite:///shop.db")


@app.queue("orders").job("confirm")
async def confirm(data: dict[str, int]) -> None: ...


async def main() -> None:
    async with app:
        orders = await app.open_queue("orders")
        shop = apsw.Connection("shop.db")  # the application's own data, in the same file
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY); PRAGMA busy_timeout=5000")  # ms: workers write, too

        shop.execute("BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)")
        confirm.add_in(shop, {"order": 1})
        shop.execute("ROLLBACK")  # neither the order nor the job
        print((await orders.counts()).waiting)
        # -> 0
        shop.execute("BEGIN IMMEDIATE; INSERT INTO orders VALUES (2)")
        confirm.add_in(shop, {"order": 2})
        shop.execute("COMMIT")  # both
        print((await orders.counts()).waiting)
        # -> 1


asyncio.run(main())
