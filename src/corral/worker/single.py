"""`Worker(queue, handler)`: Bull's shape, without an application. One function serves every job of one queue."""

from corral.options import JobOptions
from corral.payload import PayloadType
from corral.queue import Queue
from corral.worker.handler import Handler, HandlerFunction, Mode, is_async, read_signature
from corral.worker.lane import Lane
from corral.worker.worker import BaseWorker, WorkerOptions


class Worker(BaseWorker):
    """Runs `handler` for each job of `queue`, whatever its name, up to `concurrency` at once.

    Attempts, back-off and the like are what each job was added with. The handler's signature is as for `@queue.job`:
    `(ctx, data)`, `(data)`, `(ctx)` or `()`.

    Example:
        async with connect("sqlite:///corral.db") as storage:
            queue = Queue("mail", storage)
            await queue.add("welcome", {"user": 7}, attempts=3)
            async with Worker(queue, send_welcome, concurrency=20):
                ...

    Raises:
        RegistrationError: a handler that cannot be called.
    """

    def __init__(
        self, queue: Queue, handler: HandlerFunction, *, concurrency: int = 10, options: WorkerOptions | None = None
    ) -> None:
        signature = read_signature(handler)
        any_job = Handler(
            name="*",
            function=handler,
            mode=Mode.ASYNC if is_async(handler) else Mode.THREAD,
            payload=PayloadType(signature.payload),
            takes_context=signature.takes_context,
            takes_data=signature.takes_data,
            options=JobOptions(),
            needs=signature.needs,
        )
        lane = Lane(queue=queue.name, slots=concurrency, find=lambda _: any_job, handlers=lambda: [any_job])
        super().__init__(queue.storage, [lane], options=options or WorkerOptions())
