"""Reading a queue through BullMQ's getters."""

from typing import Any

from .node import Bull


async def look(bull: Bull, name: str) -> dict[str, Any]:
    """What BullMQ 6 reads from a queue. (It hides the list `paused`: those jobs are asked for by id.)"""
    queue = await bull.queue(name, skipMetasUpdate=True)
    ids = {job_id for places in (await bull.keys.ids(name)).values() for job_id in places}
    jobs: dict[str, Any] = {}
    for job_id in sorted(ids):
        facts = await queue.get(job_id) or {}
        told = {key: value for key, value in facts.items() if value is not None and key not in ("id", "queueName")}
        logs = (await queue.call("getJobLogs", job_id))["logs"]
        jobs[job_id] = {"state": await queue.state(job_id), **told} | ({"logs": logs} if logs else {})
    answer = {"counts": await queue.counts(), "paused": await queue.call("isPaused"), "jobs": jobs}
    if f"{name}:repeat" in await bull.keys.names():
        answer["schedulers"] = await queue.call("getJobSchedulers")
    return answer
