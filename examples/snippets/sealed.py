import asyncio
from typing import Annotated

from pydantic import BaseModel

from corral import Compressed, Corral, Encrypted, Sensitive, Signed, new_key, redact

keys = {"2026-11": new_key()}  # in an application: from the environment or a file of secrets
codecs = [Compressed(above=8_192), Encrypted(keys, current="2026-11"), Signed(new_key())]
app = Corral("sqlite:///corral.db", codecs=codecs)


class Payment(BaseModel):
    card: Annotated[str, Sensitive]
    amount: int


@app.queue("payments").job("charge")
async def charge(data: Payment) -> str:
    return f"charged {data.amount} to the card that ends in {data.card[-4:]}"


async def main() -> None:
    async with app, await app.worker():
        job = await charge.add(Payment(card="4111111111111111", amount=20))
        print(await job.result(timeout=10))
        # -> charged 20 to the card that ends in 1111
        print(redact(await job.get()).data)
        # -> {"card":"••••","amount":20}


asyncio.run(main())
