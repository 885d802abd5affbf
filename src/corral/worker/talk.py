"""The child's end of the talk with its worker: one question of a running handler at a time, each awaits its answer.

Every verb of a context is a question, `log` too: what the store answers (a lost lease, a full disk) reaches the handler
as it does elsewhere, and a handler that floods its worker is no faster than the store. One at a time, because a child
that writes while its worker writes an answer would wait for ever once both pipes are full.
"""

import asyncio
import os
import select
import threading

from corral.errors import CorralError, PayloadError, ResultError
from corral.worker.remote import describe
from corral.worker.wire import Answer, Ask, FrameTooLongError, Inbox, Question, Reply, Verdict, orders, pack


class Line:
    """The two pipes to the worker."""

    def __init__(self, requests: int, replies: int) -> None:
        self.pid = os.getpid()
        self._requests = requests
        self._replies = replies
        self._inbox = Inbox()
        self._asked = 0  #: how many questions were begun: their numbers never come twice
        self._owed = 0  #: number of the question that the worker has yet to answer, or 0
        for fd in (requests, replies):
            os.set_inheritable(fd, False)

    def receive(self) -> bytes | None:
        """The next message; None when the worker has hung up or died."""
        while (frame := self._inbox.take()) is None:
            if not self._read():
                return None
        return frame

    async def arrival(self) -> bytes | None:
        """As `receive`, while the event loop goes on. Nothing is lost when the wait is cancelled."""
        loop = asyncio.get_running_loop()
        while (frame := self._inbox.take()) is None:
            readable = asyncio.Event()
            loop.add_reader(self._requests, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._requests)
            if not self._read():
                return None
        return frame

    def hung_up(self) -> bool:
        """Whether the worker has closed its end: it wants no more of this process, or it died."""
        poll = select.poll()  # not kept: one object refuses to be asked by two threads at a time
        poll.register(self._requests, 0)  # the end is always reported
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def send(self, reply: Reply) -> None:
        """Send a message. Blocks while the worker is behind.

        Raises:
            FrameTooLongError: it does not fit into one message; nothing was sent.
        """
        left = memoryview(pack(reply))
        while left:
            left = left[os.write(self._replies, left) :]

    def ask(self, question: Question) -> None:
        """Send a question; its answer must be awaited before anything else is sent."""
        self._asked += 1
        self.send(Ask(self._asked, question))
        self._owed = self._asked

    @property
    def owed(self) -> bool:
        """Whether the worker has yet to answer. Left by a wait that an exception or a cancellation cut short."""
        return self._owed > 0

    def answer(self, frame: bytes | None) -> Answer | None:
        """What a message says to the latest question; None when it is about something else, or the worker hung up."""
        if frame is None:
            self._owed = 0
            return None
        order = orders.decode(frame)
        if not isinstance(order, Answer) or order.id != self._owed:
            return None
        self._owed = 0
        return order

    def _read(self) -> bool:
        data = os.read(self._requests, 65_536)
        self._inbox.feed(data)
        return bool(data)


class Talk:
    """What a running handler may ask about its job. Over as soon as the job is, even for threads it left behind."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._over = False
        self._turn = threading.Lock()  # a `def` handler may ask from threads of its own
        self._task = asyncio.Lock()  # an `async def` handler from several tasks
        self._thread = threading.get_ident()

    @property
    def deaf(self) -> bool:
        """Whether nobody listens any more: the job is over, or its worker wants this process to end."""
        return self._over or self._line.hung_up()

    def ask(self, question: Question) -> Answer | None:
        """Ask and wait for the answer, blocking; None when nobody listens any more.

        Raises:
            PayloadError: the question is too long. CorralError: this is a fork of the process that runs the job.
        """
        self._check_process()
        with self._turn:
            self._settle()
            if self.deaf:
                return None
            self._send(question)
            return self._settle()

    async def ask_async(self, question: Question) -> Answer | None:
        """As `ask`, while the event loop goes on.

        Raises:
            PayloadError: the question is too long. CorralError: not the process, or not the loop, that runs the job.
        """
        self._check_process()
        if threading.get_ident() != self._thread:
            raise CorralError("the context of an async def handler belongs to the event loop that runs it")
        async with self._task:
            await self._settle_async()
            if self.deaf:
                return None
            self._send(question)
            return await self._settle_async()

    def end(self, verdict: Verdict) -> None:
        """Say how it ended, as the last word."""
        self._over = True  # before the turn, or a thread that talks all the time might never let it come
        with self._turn:
            self._settle()
            try:
                self._line.send(verdict)
            except FrameTooLongError as error:
                self._line.send(describe(ResultError(f"the result has {error}")))

    def _send(self, question: Question) -> None:
        try:
            self._line.ask(question)
        except FrameTooLongError as error:
            raise PayloadError(f"what the handler tells its context has {error}") from None

    def _settle(self) -> Answer | None:
        answer = None
        while self._line.owed:
            answer = self._line.answer(self._line.receive())
        return answer

    async def _settle_async(self) -> Answer | None:
        answer = None
        while self._line.owed:
            answer = self._line.answer(await self._line.arrival())
        return answer

    def _check_process(self) -> None:
        if os.getpid() != self._line.pid:
            raise CorralError("the context belongs to the process that runs the job, not to its forks")
