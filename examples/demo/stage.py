"""The stage: what a platform's demo is given, and what it tells."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeVar, cast

from corral import Corral, JobHandle

#: A job: its queue and its id.
Ref = tuple[str, str]
#: An application that an HTTP server calls: ASGI.
Message = MutableMapping[str, object]
Web = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

T = TypeVar("T")


def _quiet(text: str) -> None:
    """Say nothing: a test wants no words."""


@dataclass
class Stage:
    """Where a demo plays, and what it says about its jobs."""

    folder: Path  #: everything that is written goes here
    url: str  #: the store
    burst: int = 200  #: how many jobs to add at once, where there is something to see in it
    secret: str = ""  #: signs the tokens of the platform's API; new in every run
    site: str | None = None  #: where the platform's API is served: `http://127.0.0.1:40123`
    note: Callable[[str], None] = _quiet  #: say something to whoever watches
    crowd: set[Ref] = field(default_factory=set)  #: jobs too many to be told one by one
    meant: set[Ref] = field(default_factory=set)  #: jobs that are meant to fail
    meant_names: set[Ref] = field(default_factory=set)  #: the same, as queue and job name
    open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def mails(self) -> Path:
        """Where mails are written instead of being sent."""
        return self.folder / "mail"

    def many(self, handles: Iterable[JobHandle[object]]) -> None:
        """These are too many to be told one by one."""
        self.crowd.update(map(_ref, handles))

    def fails(self, *handles: JobHandle[object]) -> None:
        """These are meant to fail for good."""
        self.meant.update(map(_ref, handles))

    def fail_named(self, queue: str, name: str) -> None:
        """Every job of this name is meant to fail: for jobs that the demo does not add itself."""
        self.meant_names.add((str(queue), name))

    async def keep(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter something that stays until the demo is over, such as a server that plays another one."""
        return await self.open.enter_async_context(manager)


def _ref(handle: JobHandle[object]) -> Ref:
    return str(handle.queue.name), handle.id


class Act(Protocol):
    """A platform's module `demo`. It may also have `api(app, stage)`."""

    def prepare(self, folder: Path) -> None: ...
    async def build(self, stage: Stage) -> Corral: ...
    async def life(self, app: Corral, stage: Stage) -> None: ...


#: What answers a platform's HTTP application.
Api = Callable[[Corral, Stage], Web]


def load(platform: str) -> Act:
    """The demo of a platform. Raises: ModuleNotFoundError."""
    return cast(Act, import_module(f"examples.{platform}.demo"))


def api_of(act: Act) -> Api | None:
    """What makes the platform's API, when there is one."""
    return cast(Api | None, getattr(act, "api", None))


def platforms() -> list[str]:
    """The platforms that have a demo."""
    return sorted(path.parent.name for path in Path(__file__).parents[1].glob("*/demo.py"))
