import asyncio
from datetime import UTC, datetime, timedelta

from corral import Corral, PayloadError, Priority

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("remind")
async def remind(data: dict[str, str]) -> None: ...


async def main() -> None:
    async with app:
        await remind.add({"to": "ann"}, delay=60)  # seconds, or a timedelta
        await remind.add({"to": "bob"}, at=datetime.now(UTC) + timedelta(days=1))
        await remind.add({"to": "cleo"}, priority=Priority.HIGH, attempts=5, timeout=10)
        first = await remind.add({"to": "dan"}, id="remind-dan")
        second = await remind.add({"to": "dan"}, id="remind-dan")  # the same job: nothing is added
        print(first.fresh, second.fresh)
        # -> True False
        try:
            await remind.add({"to": float("nan")})  # type: ignore[dict-item]
        except PayloadError as error:
            print(error)
            # -> payload is refused; to: Input should be a valid string


asyncio.run(main())
