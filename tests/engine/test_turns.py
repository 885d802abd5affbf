"""The turn at its smallest: verdict and claim may be answered without the event loop turning in between."""

import pytest

from corral import Corral
from tests.engine.helpers import work_off


@pytest.mark.parametrize("slots", [1, 2, 3])
async def test_a_lane_with_few_slots_serves_every_job_though_its_turns_never_wait(url: str, slots: int) -> None:
    app = Corral(url)
    queue = app.queue("q", concurrency=slots)
    seen: list[int] = []

    @queue.job("noop")
    async def noop(data: dict[str, int]) -> None:
        seen.append(data["n"])

    async with app:
        await noop.add_bulk([{"n": number} for number in range(40)])
        await work_off(app)
    assert sorted(seen) == list(range(40))
