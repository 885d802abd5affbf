"""Reading options as Bull and BullMQ spell them: the one place where milliseconds become seconds."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from corral.errors import ConfigError, UnknownOptionError

#: Options as they stand in JavaScript: camelCase names, durations in milliseconds.
Options: TypeAlias = Mapping[str, object]
#: From an option's value to what corral calls it.
Reader: TypeAlias = Callable[[object], Mapping[str, object]]


def seconds(value: object, name: str) -> float:
    """Milliseconds as seconds. Raises: ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ConfigError(f"{name} must be milliseconds, 0 or more, not {value!r}", key=name)
    return value / 1000


def whole(value: object, name: str) -> int:
    """A whole number, 0 or more. Raises: ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{name} must be a whole number, 0 or more, not {value!r}", key=name)
    return value


def options_of(value: object, name: str) -> Options:
    """An object of options. Raises: ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be an object of options, not {value!r}", key=name)
    return value


def moment(value: object, name: str) -> datetime:
    """A date: a datetime, milliseconds since 1970 or ISO 8601. Without a zone it is UTC. Raises: ConfigError."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    else:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            raise ConfigError(f"{name} must be a date, not {value!r}", key=name) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def with_dates(value: object) -> object:
    """A payload with its dates as JavaScript writes them into JSON: ISO 8601 in UTC, with milliseconds."""
    match value:
        case datetime():
            return moment(value, "date").astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case dict():
            return {key: with_dates(item) for key, item in value.items()}
        case list() | tuple():
            return [with_dates(item) for item in value]
        case _:
            return value


def read(options: Options, known: Mapping[str, Reader], ignored: Mapping[str, str]) -> dict[str, object]:
    """What the options say in corral's words. None and what JavaScript leaves undefined say nothing.

    Raises:
        UnknownOptionError: the first name that neither has; it carries the nearest one.
    """
    said: dict[str, object] = {}
    for name, value in options.items():
        if name in known:
            if value is not None:
                said.update(known[name](value))
        elif name not in ignored:
            raise UnknownOptionError(name, [*known, *ignored])
    return said


def as_is(key: str) -> Reader:
    """The value, under corral's name for it."""
    return lambda value: {key: value}


def made(key: str, convert: Callable[[object], object]) -> Reader:
    """The converted value, under corral's name for it."""
    return lambda value: {key: convert(value)}


def flag(key: str, option: str) -> Reader:
    """True or false, under corral's name for it."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{option} must be true or false, not {value!r}", key=option)
        return value

    return made(key, convert)
