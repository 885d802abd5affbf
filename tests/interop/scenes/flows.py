"""Parents and children: every policy at every stage, over several levels and queues."""

from collections.abc import Mapping
from typing import Any

from ..node import Bull
from . import CHILDREN, COMPLETED, DELAYED, FAILED, GONE, PRIORITIZED, WAITING, Play, scene

HOUR = 3_600_000

#: policy -> the option, the parent's state after its bad child failed, and once everything is served
POLICIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "wait": ({}, CHILDREN, CHILDREN),
    "fail": ({"failParentOnFailure": True}, WAITING, FAILED),
    "continue": ({"continueParentOnFailure": True}, WAITING, COMPLETED),
    "ignore": ({"ignoreDependencyOnFailure": True}, WAITING, COMPLETED),
    "remove": ({"removeDependencyOnFailure": True}, WAITING, COMPLETED),
}


def node(
    job_id: str, *children: Mapping[str, Any], queue: str = "mail", name: str = "", **opts: object
) -> dict[str, Any]:
    """One node of a flow; ids instead of generated ones, so that the stories can name their jobs."""
    tree: dict[str, Any] = {
        "name": name or job_id,
        "queueName": queue,
        "data": {"id": job_id},
        "opts": {"jobId": job_id, **opts},
    }
    return tree | ({"children": list(children)} if children else {})


async def plant(bull: Bull, tree: Mapping[str, Any], *, major: int = 6) -> None:
    await (await bull.flow(major=major)).call("add", tree)


SCRIPT = {"bad": {"throw": "boom"}, "*": {"return": {"fine": True}}}


def policy_scenes(policy: str, option: dict[str, Any], after: str, end: str) -> None:
    tree = node("top", node("bad", queue="parts", **option), node("good", queue="parts"))

    async def added(bull: Bull) -> None:
        await plant(bull, tree)

    async def child_failed(bull: Bull) -> None:
        await plant(bull, node("top", node("bad", queue="parts", **option)))
        await (await bull.hand("parts", SCRIPT)).serve()

    async def one_of_two_failed(bull: Bull) -> None:
        await plant(bull, tree)
        await (await bull.hand("parts", SCRIPT)).serve(1)

    async def parent_served(bull: Bull) -> None:
        await plant(bull, tree)
        await (await bull.hand("parts", SCRIPT)).serve()
        await (await bull.hand("mail", SCRIPT)).serve()

    early = {"wait": CHILDREN, "ignore": CHILDREN, "remove": CHILDREN}.get(policy, WAITING)
    stories: tuple[tuple[str, Play, dict[str, str], dict[str, str]], ...] = (
        ("added", added, {"top": CHILDREN, "parts/bad": WAITING, "parts/good": WAITING}, {}),
        ("child-failed", child_failed, {"top": after, "parts/bad": FAILED}, {"top": end}),
        ("one-of-two", one_of_two_failed, {"top": early, "parts/bad": FAILED, "parts/good": WAITING}, {"top": end}),
        ("served", parent_served, {"top": end, "parts/bad": FAILED, "parts/good": COMPLETED}, {"top": end}),
    )
    for stage, play, jobs, then in stories:
        play.__module__ = __name__
        scene(f"{policy}-{stage}", jobs, then)(play)


for policy, (option, after, end) in POLICIES.items():
    policy_scenes(policy, option, after, end)


@scene("two-children", {"top": CHILDREN, "a": WAITING, "b": WAITING})
async def two_children(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), node("b")))


@scene("one-done", {"top": CHILDREN, "a": COMPLETED, "b": WAITING})
async def one_done(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), node("b")))
    await (await bull.hand(script=SCRIPT)).serve(1)


@scene("all-done", {"top": WAITING, "a": COMPLETED, "b": COMPLETED})
async def all_done(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), node("b")))
    await (await bull.hand(script=SCRIPT)).serve(2)


@scene("parent-done", {"top": COMPLETED, "a": COMPLETED, "b": COMPLETED})
async def parent_done(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), node("b")))
    await (await bull.hand(script={**SCRIPT, "top": {"children": True}})).serve()


@scene("three-levels", {"top": CHILDREN, "mid": CHILDREN, "low": WAITING, "side": WAITING})
async def three_levels(bull: Bull) -> None:
    await plant(bull, node("top", node("mid", node("low")), node("side")))


@scene("three-levels-half-way", {"top": CHILDREN, "mid": WAITING, "low": COMPLETED, "side": COMPLETED})
async def three_levels_half_way(bull: Bull) -> None:
    await plant(bull, node("top", node("mid", node("low")), node("side")))
    await (await bull.hand(script=SCRIPT)).serve(2)


@scene("three-queues", {"top": CHILDREN, "images/a": COMPLETED, "texts/b": WAITING})
async def three_queues(bull: Bull) -> None:
    await plant(bull, node("top", node("a", queue="images"), node("b", queue="texts")))
    await (await bull.hand("images", SCRIPT)).serve()


@scene("parent-delayed", {"top": DELAYED, "a": COMPLETED})
async def parent_delayed(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), delay=HOUR))
    await (await bull.hand(script=SCRIPT)).serve()


@scene("parent-priority", {"top": PRIORITIZED, "a": COMPLETED})
async def parent_priority(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), priority=3))
    await (await bull.hand(script=SCRIPT)).serve(1)


@scene("children-of-all-kinds", {"top": CHILDREN, "a": DELAYED, "b": PRIORITIZED, "c": WAITING})
async def children_of_all_kinds(bull: Bull) -> None:
    await plant(bull, node("top", node("a", delay=HOUR), node("b", priority=2), node("c", attempts=3, backoff=1000)))


@scene("paused-parent", {"top": WAITING, "parts/a": COMPLETED})
async def paused_parent(bull: Bull) -> None:
    await (await bull.queue()).call("pause")
    await plant(bull, node("top", node("a", queue="parts")))
    await (await bull.hand("parts", SCRIPT)).serve()


@scene("failure-travels", {"top": WAITING, "mid": FAILED, "low": FAILED}, {"top": FAILED})
async def failure_travels(bull: Bull) -> None:
    fatal: dict[str, Any] = {"failParentOnFailure": True}
    await plant(bull, node("top", node("mid", node("low", name="bad", **fatal), **fatal)))
    await (await bull.hand(script=SCRIPT)).serve(2)


@scene("failed-child-retried", {"top": CHILDREN, "bad": WAITING})
async def failed_child_retried(bull: Bull) -> None:
    await plant(bull, node("top", node("bad")))
    await (await bull.hand(script=SCRIPT)).serve()
    await (await bull.queue()).job("bad", "retry", "failed")


@scene("ignored-child-retried", {"top": CHILDREN, "bad": WAITING, "a": WAITING})
async def ignored_child_retried(bull: Bull) -> None:
    await plant(bull, node("top", node("bad", ignoreDependencyOnFailure=True), node("a")))
    await (await bull.hand(script=SCRIPT)).serve(1)
    await (await bull.queue()).job("bad", "retry", "failed")


@scene("child-removed", {"top": WAITING, "a": GONE})
async def child_removed(bull: Bull) -> None:
    await plant(bull, node("top", node("a")))
    await (await bull.queue()).job("a", "remove")


@scene("child-let-go", {"top": WAITING, "a": WAITING})
async def child_let_go(bull: Bull) -> None:
    await plant(bull, node("top", node("a")))
    await (await bull.queue()).job("a", "removeChildDependency")


@scene("parent-removed", {"top": GONE, "a": GONE, "b": GONE})
async def parent_removed(bull: Bull) -> None:
    await plant(bull, node("top", node("a"), node("b")))
    await (await bull.hand(script=SCRIPT)).serve(1)
    await (await bull.queue()).job("top", "remove")


@scene("children-not-kept", {"top": WAITING, "a": GONE})
async def children_not_kept(bull: Bull) -> None:
    await plant(bull, node("top", node("a", removeOnComplete=True)))
    await (await bull.hand(script=SCRIPT)).serve(1)


@scene("added-to-parent", {"top": CHILDREN, "a": WAITING, "late": WAITING})
async def added_to_parent(bull: Bull) -> None:
    await plant(bull, node("top", node("a")))
    parent = {"id": "top", "queue": f"{bull.prefix}:mail"}
    await (await bull.queue()).add("late", jobId="late", parent=parent)


@scene("waits-by-itself", {"1": CHILDREN, "late": WAITING})
async def waits_by_itself(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("top")
    job = await (await bull.hand()).take()
    await queue.add("late", jobId="late", parent={"id": "1", "queue": f"{bull.prefix}:mail"})
    assert await job.call("moveToWaitingChildren", job.token)


@scene("bulk", {"one": CHILDREN, "a": WAITING, "two": CHILDREN, "b": WAITING})
async def bulk(bull: Bull) -> None:
    await (await bull.flow()).call("addBulk", [node("one", node("a")), node("two", node("b"))])


@scene("shared-child-done", {"top": WAITING, "a": COMPLETED})
async def shared_child_done(bull: Bull) -> None:
    await (await bull.queue()).add("a", jobId="a")
    await (await bull.hand(script=SCRIPT)).serve()
    await plant(bull, node("top", node("a")))


@scene("by-version-5", {"top": WAITING, "bad": FAILED, "good": COMPLETED})
async def by_version_5(bull: Bull) -> None:
    await plant(bull, node("top", node("bad", ignoreDependencyOnFailure=True), node("good")), major=5)
    await (await bull.hand(script=SCRIPT, major=5)).serve(2)
