import asyncio

from corral import Corral, JobContext, Step

app = Corral("sqlite:///corral.db")
orders = app.queue("orders", attempts=3, backoff=0.1)


async def charge(amount: int) -> str:
    print("charging", amount)
    return f"receipt-{amount}"


@orders.job("fulfil")
async def fulfil(ctx: JobContext, amount: int) -> str:
    receipt = await ctx.step("charge", charge, amount)
    for parcel in (1, 2):
        await ctx.step(Step("ship", key=parcel), print, "shipping parcel", parcel)
    if ctx.attempt == 1:
        raise ConnectionError("the printer is away")
    return receipt


async def main() -> None:
    async with app, await app.worker():
        print(await (await fulfil.add(40)).result(timeout=10))


asyncio.run(main())
# -> charging 40
# -> shipping parcel 1
# -> shipping parcel 2
# -> receipt-40
