"""Node as the tests see it: one process with BullMQ 5 and 6 in it, spoken to in lines of JSON (`driver.mjs`)."""

import asyncio
import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from .keys import Keys

HERE = Path(__file__).parent

#: Seconds. Nothing a test asks of Node takes a tenth of it; CI may be that slow.
PATIENCE = 60.0
_taken = count(1)


class NodeError(Exception):
    """What a call raised in Node. `name` is the error's class there, `code` BullMQ's number for it."""

    def __init__(self, name: str, message: str, code: object = None) -> None:
        self.name = name
        self.code = code
        super().__init__(f"{name}: {message}")


class Node:
    """A Node process. Any event loop may ask it: the answers arrive on a thread of their own."""

    def __init__(self, program: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 # lives as long as the process
        self._process = subprocess.Popen(
            [program, "driver.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._ids = count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = self._pending.pop(answer["id"], None)
            if future is None or future.cancelled():
                continue
            if (error := answer.get("error")) is not None:
                future.set_exception(NodeError(error["name"], error["message"], error["code"]))
            else:
                future.set_result(answer.get("ok"))
        with self._lock:
            orphans, self._pending = self._pending, {}
        for future in orphans.values():
            if not future.cancelled():
                future.set_exception(NodeError("Exit", f"Node has gone: {self.complaints()}"))

    def complaints(self) -> str:
        """The end of what the process wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    async def ask(self, do: str, **fields: object) -> Any:
        """Send one request and await its answer.

        Raises:
            NodeError: what Node raised. TimeoutError: no answer within a minute.
        """
        future: Future[Any] = Future()
        request_id = next(self._ids)
        line = json.dumps({"id": request_id, "do": do, **fields})
        assert self._process.stdin is not None
        with self._lock:
            self._pending[request_id] = future
            try:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                raise NodeError("Exit", f"Node has gone: {self.complaints()}") from None
        async with asyncio.timeout(PATIENCE):
            return await asyncio.wrap_future(future)

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process and everything it holds."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a request that the process did not live to read
                pipe.close()


class NodeObject:
    """Something made in Node: a queue, a worker, a flow producer or a listener."""

    def __init__(self, node: Node, handle: str) -> None:
        self._node = node
        self.handle = handle

    @property
    def as_argument(self) -> dict[str, str]:
        """How to pass it to a method of another one."""
        return {"$": self.handle}

    async def call(self, method: str, *args: object, keep_as: str | None = None) -> Any:
        """Call a method. `keep_as` keeps the answer in Node too, under a handle of its own."""
        keep = {"as": keep_as} if keep_as else {}
        return await self._node.ask("call", on=self.handle, method=method, args=args, **keep)

    async def close(self, *, force: bool = False) -> list[str]:
        """Close it; answers the errors it has emitted."""
        errors: list[str] = await self._node.ask("close", on=self.handle, force=force)
        return errors


class NodeQueue(NodeObject):
    """A BullMQ `Queue`."""

    async def add(self, name: str, data: object = None, **opts: object) -> dict[str, Any]:
        """`queue.add`; answers the job's facts."""
        job: dict[str, Any] = await self.call("add", name, {} if data is None else data, opts)
        return job

    async def job(self, job_id: str, method: str, *args: object) -> Any:
        """Fetch a job and call one of its methods."""
        return await self._node.ask("job", on=self.handle, job=job_id, method=method, args=args)

    async def get(self, job_id: str) -> dict[str, Any] | None:
        """`queue.getJob`; the job's facts."""
        job: dict[str, Any] | None = await self.call("getJob", job_id)
        return job

    async def state(self, job_id: str) -> str:
        state: str = await self.call("getJobState", job_id)
        return state

    async def counts(self) -> dict[str, int]:
        """Jobs by state, the empty states left out."""
        counts: dict[str, int] = await self.call("getJobCounts")
        return {state: number for state, number in counts.items() if number}


class NodeWorker(NodeObject):
    """A BullMQ `Worker` that plays a script (see `behaviour.mjs`)."""

    async def serve(self, turns: int = 1000) -> int:
        """Claim and run up to so many jobs one after the other, outside the worker's own loop; answers how many."""
        served: int = await self._node.ask("serve", on=self.handle, count=turns)
        return served

    async def take(self) -> "NodeJob":
        """Claim one job and hold it, as a worker that is busy with it does."""
        number = next(_taken)
        handle, token = f"{self.handle}/job/{number}", f"hand:{number}"
        facts = await self.call("getNextJob", token, {"block": False}, keep_as=handle)
        assert facts is not None, "there is nothing to take"
        return NodeJob(self._node, handle, token, facts)

    async def runs(self, count: int = 0) -> list[dict[str, Any]]:
        """The runs it has begun, once there are `count`."""
        runs: list[dict[str, Any]] = await self._node.ask("awaitRuns", on=self.handle, count=count)
        return runs

    async def event(self, **match: object) -> dict[str, Any]:
        """The first of its own events that has these fields, awaited."""
        event: dict[str, Any] = await self._node.ask("awaitEvent", on=self.handle, match=match)
        return event

    async def release(self) -> None:
        """Let the jobs go on that the script holds."""
        await self._node.ask("release", on=self.handle)


class NodeJob(NodeObject):
    """A job that a worker in Node has claimed."""

    def __init__(self, node: Node, handle: str, token: str, facts: dict[str, Any]) -> None:
        super().__init__(node, handle)
        self.token = token
        self.facts = facts

    async def complete(self, result: object = None) -> None:
        """End it well."""
        await self.call("moveToCompleted", result, self.token, False)

    async def fail(self, message: str = "boom", *, unrecoverable: bool = False) -> None:
        """Let this attempt fail; BullMQ decides whether another one follows."""
        error = {"$error": {"message": message, "unrecoverable": unrecoverable}}
        await self.call("moveToFailed", error, self.token, False)


class NodeEvents(NodeObject):
    """A BullMQ `QueueEvents`, which keeps what it hears."""

    async def heard(self) -> list[dict[str, Any]]:
        """Everything so far, in order."""
        events: list[dict[str, Any]] = await self._node.ask("events", on=self.handle)
        return events

    async def wait(self, **match: object) -> dict[str, Any]:
        """The first event that has these fields, awaited."""
        event: dict[str, Any] = await self._node.ask("awaitEvent", on=self.handle, match=match)
        return event


class Bull:
    """What one test makes in Node: all of it under the test's own prefix, all of it closed at the end."""

    def __init__(self, node: Node, connection: Mapping[str, object], keys: Keys) -> None:
        self.node = node
        self.keys = keys
        self.prefix = keys.prefix
        self._connection = {**connection, "maxRetriesPerRequest": None}
        self._names = count(1)
        self._made: list[NodeObject] = []

    async def _make(self, kind: str, major: int, name: str, opts: Mapping[str, object], **more: object) -> str:
        handle = f"{self.prefix}/{kind}/{next(self._names)}"
        full = {"connection": self._connection, "prefix": self.prefix, **opts}
        await self.node.ask("make", **{"as": handle}, kind=kind, major=major, name=name, opts=full, **more)
        return handle

    async def queue(self, name: str = "mail", *, major: int = 6, **opts: object) -> NodeQueue:
        made = NodeQueue(self.node, await self._make("Queue", major, name, opts))
        self._made.append(made)
        return made

    async def worker(
        self, name: str = "mail", script: Mapping[str, object] | None = None, *, major: int = 6, **opts: object
    ) -> NodeWorker:
        if "worker_name" in opts:  # BullMQ calls it `name`, which is the queue's here
            opts = {**opts, "name": opts.pop("worker_name")}
        made = NodeWorker(self.node, await self._make("Worker", major, name, opts, script=script or {}))
        self._made.append(made)
        return made

    async def hand(
        self, name: str = "mail", script: Mapping[str, object] | None = None, *, major: int = 6, **opts: object
    ) -> NodeWorker:
        """A worker that does nothing by itself: it is led by `serve`, or call by call."""
        return await self.worker(name, script, major=major, autorun=False, **opts)

    async def events(self, name: str = "mail", *, major: int = 6, **opts: object) -> NodeEvents:
        # From the beginning: a listener is ready before it listens, and what happens in between it would miss.
        made = NodeEvents(self.node, await self._make("QueueEvents", major, name, {"lastEventId": "0-0", **opts}))
        self._made.append(made)
        return made

    async def flow(self, *, major: int = 6, **opts: object) -> NodeObject:
        made = NodeObject(self.node, await self._make("FlowProducer", major, "", opts))
        self._made.append(made)
        return made

    async def producer(self, name: str = "mail", *, major: int = 6) -> NodeObject:
        """A `QueueEventsProducer`: it writes events of its own into the stream."""
        made = NodeObject(self.node, await self._make("QueueEventsProducer", major, name, {}))
        self._made.append(made)
        return made

    async def board(self, queues: Mapping[int, NodeQueue]) -> str:
        """Bull Board over these queues; answers its address."""
        handle = f"{self.prefix}/board"
        majors = [[major, queue.handle] for major, queue in queues.items()]
        port = await self.node.ask("board", **{"as": handle}, majors=majors)
        self._made.append(NodeObject(self.node, handle))
        return f"http://127.0.0.1:{port}/"

    async def close(self) -> list[str]:
        """Close everything, the newest first; answers the errors that were emitted meanwhile."""
        errors: list[str] = []
        while self._made:
            made = self._made.pop()
            if isinstance(made, NodeWorker):
                await made.release()
            errors += await made.close(force=isinstance(made, NodeWorker))
        return errors
