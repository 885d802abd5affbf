"""Moves from each engine to each."""

from corral.storage.transfer import Movable

from .helpers import OTHER, carry, content, fill

FAR_QUEUE = f"{OTHER}-of-mail"


async def test_everything_arrives(source: Movable, target: Movable) -> None:
    await fill(source)
    before = await content(source, "mail"), await content(source, FAR_QUEUE)
    reports = await carry(source, target)
    assert [one.complete for one in reports] == [True, True]
    assert (await content(target, "mail"), await content(target, FAR_QUEUE)) == before
