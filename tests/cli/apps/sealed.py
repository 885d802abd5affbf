"""An application whose payloads are encrypted."""

from typing import Annotated

from pydantic import BaseModel

from corral import Corral, Encrypted, Sensitive

#: Of the tests alone: every process that loads this application needs the same.
KEY = bytes(range(32))

app = Corral("sqlite:///sealed.db", codecs=[Encrypted({"test": KEY})])


class Payment(BaseModel):
    card: Annotated[str, Sensitive]
    token: str = ""
    amount: int = 1


@app.queue("payments").job("charge")
async def charge(data: Payment) -> str:
    return f"charged {data.amount}"
