"""probe"""
from corral.job import After
from corral.options import ParentPolicy as P
from corral.outcome import *
from .helpers import *
import pytest

@pytest.mark.parametrize("how", ["before","later"])
@pytest.mark.parametrize("p", [("w","f"),("f","w"),("f",),("f","f"),("w", "w", "f")], ids=str)
@pytest.mark.parametrize("active", [True, False])
async def test_a(storage, p, how, active):
    names=[("bad" if x=="f" else f"open{n}") for n,x in enumerate(p)]
    pol=[P.FAIL if x=="f" else P.WAIT for x in p]
    await add(storage, new_job("bad", priority=1), *[new_job(f"open{n}") for n in range(3)])
    run = await start_one(storage)
    assert run.job.id=="bad"
    if active: await start(storage, 4)
    async def ends(): await storage.settle(QUEUE,[run.ends(Crashed('oom',1))], now=T0)
    if how=="before": await ends()
    await add(storage, new_job("n", after=tuple(After(QUEUE,n,q) for n,q in zip(names,pol))))
    if how=="later": await ends()
    [j]=await storage.get(QUEUE,["n"])
    print("RES", type(storage).__name__, how, p, active, j.state, j.pending_children, await storage.children(QUEUE,"n"))
    run=None
