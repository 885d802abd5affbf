"""Services: what handlers ask for by type. Which factory makes what, and in which order; nothing is made here.

Everything is looked up once, when a worker starts: a job pays for the calls of its own factories and nothing else.
"""

import inspect
import typing
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from corral.errors import ConfigError, RegistrationError
from corral.worker.context import Facts, JobContext, SyncJobContext

#: "worker": one for all jobs of a worker, made when it starts. "job": a new one for each call of a handler.
Scope: TypeAlias = Literal["worker", "job"]
SCOPES = ("worker", "job")

#: Made for each run by the worker itself.
CONTEXTS = (JobContext, SyncJobContext, Facts)
#: Too general to be anybody's service; a parameter of such a type is a mistake rather than a wish.
_PLAIN = (str, bytes, int, float, bool, complex, list, dict, tuple, set, frozenset, object, type(None), None, Any)


class Need(Struct, frozen=True):
    """A parameter that wants a service."""

    name: str
    service: Hashable
    optional: bool = False  #: it has a default, which stays when nobody provides the type


class Provider(Struct, frozen=True):
    """How a service is made."""

    service: Hashable
    factory: Callable[..., object]
    scope: Scope
    needs: tuple[Need, ...]


class Recipe(Struct, frozen=True):
    """What one handler needs: the services that are made for each call, in order, and where its arguments come from."""

    steps: tuple[Provider, ...]
    arguments: tuple[Need, ...]
    shared: tuple[Provider, ...]  #: of the worker, in the order in which they are made
    needed: frozenset[Hashable]  #: every service that may be looked up while it is followed


def injectable(service: object) -> bool:
    """Whether a type can be a service at all."""
    if not isinstance(service, Hashable) or service is inspect.Parameter.empty:
        return False
    origin = typing.get_origin(service)
    return service not in _PLAIN and origin not in (list, dict, tuple, set, frozenset)


class Providers:
    """The factories of one application, by what they make."""

    def __init__(self) -> None:
        self._by_service: dict[Hashable, Provider] = {}
        self._implied: dict[Hashable, Provider] = {}  #: classes of handlers: they make themselves
        self.fakes: dict[Hashable, object] = {}

    def provide(self, service: object, factory: object, scope: str = "worker") -> None:
        """Note a factory, or a ready instance.

        Raises:
            RegistrationError: provided twice, or a factory whose parameters cannot be provided.
            ConfigError: a scope that does not exist, or a type that is everybody's.
        """
        if scope not in SCOPES:
            raise ConfigError(f"scope must be 'worker' or 'job', not {scope!r}", key="scope")
        if not injectable(service) or service in CONTEXTS:
            raise ConfigError(f"{told(service)} cannot be a service: provide a class of your own", key="service")
        assert isinstance(service, Hashable)  # injectable
        if service in self._by_service:
            raise RegistrationError(f"{told(service)} is provided already")
        if _is_instance(factory, service):
            self._by_service[service] = Provider(service, lambda: factory, "worker", ())
            return
        if not callable(factory):
            raise ConfigError(f"{told(service)} needs a factory or an instance, not {factory!r}", key="factory")
        self._by_service[service] = Provider(service, factory, typing.cast(Scope, scope), needs_of(factory))

    def imply(self, owner: type, scope: str) -> None:
        """A class of handlers makes itself, unless a factory for it is provided."""
        if scope not in SCOPES:
            raise ConfigError(f"scope must be 'worker' or 'job', not {scope!r}", key="scope")
        self._implied[owner] = Provider(owner, owner, typing.cast(Scope, scope), needs_of(owner))

    def lending(self, fakes: Mapping[type, object]) -> "Providers":
        """The same factories, with these instances before them: for one call in a test."""
        copy = Providers()
        copy._by_service, copy._implied, copy.fakes = self._by_service, self._implied, dict(self.fakes)
        copy.fakes.update(fakes.items())
        return copy

    def find(self, service: Hashable) -> Provider | None:
        """Who makes this; an overriding fake is a provider too."""
        if service in self.fakes:
            fake = self.fakes[service]
            return Provider(service, lambda: fake, "worker", ())
        return self._by_service.get(service) or self._implied.get(service)

    @contextmanager
    def override(self, service: object, fake: object) -> Iterator[None]:
        """Give everybody who asks for `service` this, for the length of a block."""
        if not isinstance(service, Hashable) or (service not in self._by_service and service not in self._implied):
            raise RegistrationError(f"{told(service)} is not provided: there is nothing to override")
        missing = object()
        before = self.fakes.get(service, missing)
        self.fakes[service] = fake
        try:
            yield
        finally:
            if before is missing:
                del self.fakes[service]
            else:
                self.fakes[service] = before

    def recipe(self, who: str, needs: tuple[Need, ...], contexts: tuple[type, ...] = CONTEXTS) -> Recipe:
        """How a handler's wishes are filled. `contexts` are those that a call of it has.

        Raises:
            RegistrationError: a type that nobody provides, services that need each other, or one that lives longer
                than what it needs.
        """
        planner = _Planner(self, contexts)
        arguments = tuple(
            need for need in needs if planner.visit(need, f"{who} asks for {told(need.service)}", None, ())
        )
        return Recipe(tuple(planner.steps), arguments, tuple(planner.shared), frozenset(planner.done))


class _Planner:
    """Walks through what services need, depth first."""

    def __init__(self, providers: Providers, contexts: tuple[type, ...]) -> None:
        self.steps: list[Provider] = []
        self.shared: list[Provider] = []
        self.done: set[Hashable] = set()
        self._providers = providers
        self._contexts = contexts

    def visit(self, need: Need, who: str, asker: Provider | None, path: tuple[Hashable, ...]) -> bool:
        """Plan a service and whatever it needs; False for an optional one that nobody provides."""
        service = need.service
        if service in CONTEXTS:
            self._check_context(service, who, asker)
            return True
        provider = self._providers.find(service)
        if provider is None:
            if need.optional:
                return False
            raise RegistrationError(
                f"{who} (parameter {need.name!r}), which nobody provides: app.provide({told(service)}, factory)"
            )
        if service in path:
            circle = " → ".join(told(one) for one in (*path[path.index(service) :], service))
            raise RegistrationError(f"services need each other: {circle}")
        if asker is not None and asker.scope == "worker" and provider.scope == "job":
            raise RegistrationError(
                f"{told(asker.service)} lives as long as the worker and cannot need {told(service)}, which is made for "
                'each job: give both scope="job"'
            )
        if service not in self.done:
            # What a factory leaves to its default is not asked for again when the factory is called.
            wishes = tuple(
                one
                for one in provider.needs
                if self.visit(one, f"the factory of {told(service)} asks for {told(one.service)}", provider,
                              (*path, service))
            )  # fmt: skip
            self.done.add(service)
            made = Provider(service, provider.factory, provider.scope, wishes)
            (self.shared if provider.scope == "worker" else self.steps).append(made)
        return True

    def _check_context(self, service: Hashable, who: str, asker: Provider | None) -> None:
        if asker is not None and asker.scope == "worker":
            raise RegistrationError(f'{who}, which belongs to one job: give it scope="job"')
        if service not in self._contexts:
            raise RegistrationError(f"{who}, which a handler of this kind does not have")


# -- reading factories -------------------------------------------------------------------------------------------------


def needs_of(factory: Callable[..., object]) -> tuple[Need, ...]:
    """The parameters of a factory or class, each by its annotation.

    Raises:
        RegistrationError: a parameter without a default that no service could fill.
    """
    name = told(factory)
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return ()  # some classes written in C do not tell: they are called with nothing
    hints = hints_of(factory)
    needs = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        service = hints.get(parameter.name, parameter.annotation)
        optional = parameter.default is not inspect.Parameter.empty
        if injectable(service) and parameter.kind is not parameter.POSITIONAL_ONLY:
            needs.append(Need(parameter.name, service, optional))
        elif not optional:
            raise RegistrationError(
                f"the factory {name} has a parameter {parameter.name!r} that no service can fill: annotate it with a "
                "type that is provided, or give it a default"
            )
    return tuple(needs)


def hints_of(factory: Callable[..., object]) -> Mapping[str, object]:
    """The annotations of a function, a class's `__init__` or an object's `__call__`. Raises: RegistrationError."""
    target: Any = factory
    if isinstance(factory, type):
        target = factory.__init__  # type: ignore[misc]  # its annotations are looked at, nothing is called
    elif not inspect.isroutine(factory):
        target = getattr(factory, "func", None) or type(factory).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise RegistrationError(
            f"{told(factory)}: its annotations cannot be read ({error}); define the types at module level"
        ) from None
    except TypeError:
        return {}


def told(service: object) -> str:
    """A type or function as messages name it."""
    return getattr(service, "__qualname__", None) or repr(service)


def _is_instance(value: object, service: Hashable) -> bool:
    try:
        return isinstance(service, type) and isinstance(value, service)
    except TypeError:  # a protocol that cannot be checked
        return False
