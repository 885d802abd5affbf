"""Sensitive: what of a payload is never shown. Lists, details, log lines and reprs pass through here; handlers do not.

Two rules. A field that the application marks (`Annotated[str, Sensitive]` in the payload's type, or `sensitive=[…]` on
the job or queue) is hidden whatever it holds. And a field whose name says that it holds a secret is hidden anyway.
"""

import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from numbers import Number
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from corral.errors import RegistrationError

#: What stands in place of a value.
HIDDEN = "••••"
#: Deeper than this nothing is looked at, and hence nothing shown.
MAX_DEPTH = 64

_WORDS = (
    "passwords?|passwd|pwd|passphrases?|secrets?|tokens?|authorization|bearer|cookies?|set_cookie|credentials?|otp|"
    "api_?keys?|access_?keys?|private_?keys?|secret_?keys?|signing_?keys?|encryption_?keys?"
)
_NUMBERS = (
    "credit_?cards?|card_?(?:numbers?|no|pan)|pan|cvv2?|cvc2?|pin|ssn|social_security(?:_numbers?)?|iban|"
    "account_?numbers?"
)
# Expressions are compiled when a name is first looked at: nearly every process imports this and few look.


@cache
def _secrets() -> re.Pattern[str]:
    """Names of fields that hold secrets: whole words of the name, in `snake_case`, `kebab-case` or `camelCase`."""
    return re.compile(f"(?:^|_)(?:{_WORDS})(?:_|$)")


@cache
def _numbers() -> re.Pattern[str]:
    """The same, of secrets that are numbers. Else `has_password: true` and `tokens: 812` would be hidden."""
    return re.compile(f"(?:^|_)(?:{_NUMBERS})(?:_|$)")


@cache
def _humps() -> re.Pattern[str]:
    return re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Sensitive:
    """Marks a field of a payload's type: `card: Annotated[str, Sensitive]`. Its value is stored, and never shown."""


def shown(value: object, sensitive: Iterable[str] = (), *, by_name: bool = True) -> object:
    """A copy of a plain JSON value for people to see, what is sensitive replaced by `••••`.

    Args:
        sensitive: dotted paths. A list is looked into; `*` is every key: `items.price`, `headers.*`.
        by_name: also hide what its name says is a secret (`password`, `api_key`, `card_number` …).
    """
    paths = [tuple(path.split(".")) for path in sensitive]
    return HIDDEN if ("",) in paths else _shown(value, paths, by_name, 0)


def shown_text(text: str, sensitive: Iterable[str] = (), *, by_name: bool = True) -> str:
    """`shown` for JSON text. Of a sealed payload only what it was sealed with; text that is no JSON is hidden."""
    decode, encode = _exactly()
    try:
        value = decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return json.dumps(HIDDEN, ensure_ascii=False)
    made = shown(value, sensitive, by_name=by_name)
    return text if made == value else encode(made).decode()


@cache
def _exactly() -> tuple[Callable[[str], object], Callable[[object], bytes]]:
    """JSON there and back with every number as it was written: an amount of 1.10 does not become 1.1."""
    from decimal import Decimal  # 3 ms to import: only for who shows something

    return msgspec.json.Decoder(float_hook=Decimal).decode, msgspec.json.Encoder(decimal_format="number").encode


def shown_repr(struct: msgspec.Struct, texts: Sequence[str], sensitive: Iterable[str]) -> str:
    """The repr of a Struct whose fields `texts` hold JSON text, without the fields that say nothing."""
    parts = []
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if value == field.default or (value in ((), None) and field.name not in texts):
            continue
        hide = field.name in texts and isinstance(value, str)
        parts.append(f"{field.name}={shown_text(value, sensitive) if hide else value!r}")
    return f"{type(struct).__name__}({', '.join(parts)})"


def _shown(value: object, paths: list[tuple[str, ...]], by_name: bool, depth: int) -> object:
    if depth > MAX_DEPTH:
        return HIDDEN
    if isinstance(value, list):
        return [_shown(item, paths, by_name, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if "corral:sealed" in value:
        return {**value, "body": HIDDEN}
    if "corral:unreadable" in value:
        return {"corral:unreadable": value["corral:unreadable"]}
    made: dict[object, object] = {}
    for key, item in value.items():
        under = [path[1:] for path in paths if path[0] in (key, "*")]
        if () in under or (by_name and _is_secret(str(key), item)):
            made[key] = HIDDEN
        else:
            made[key] = _shown(item, under, by_name, depth + 1)
    return made


def is_marked(keys: Sequence[str], sensitive: Iterable[str]) -> bool:
    """Whether the field at `keys` (list indices left out) is one of these paths, or lies under one.

    Keys that are no part of the path may stand between: validators put the names of a union's members there.
    """
    return any(_leads_through(keys, path.split(".")) for path in sensitive)


def _leads_through(keys: Sequence[str], path: Sequence[str]) -> bool:
    left = iter(keys)
    return path == [""] or all(any(part in (key, "*") or key == "*" for key in left) for part in path)


def is_secret_name(name: str) -> bool:
    """Whether a field's name says that it holds a secret."""
    plain = _plain_name(name)
    return _numbers().search(plain) is not None or _secrets().search(plain) is not None


def _plain_name(name: str) -> str:
    return _humps().sub("_", name).replace("-", "_").lower()


def _is_secret(name: str, value: object) -> bool:
    plain = _plain_name(name)
    if value is None or isinstance(value, bool):
        return False
    if _numbers().search(plain):
        return True
    return not isinstance(value, Number) and _secrets().search(plain) is not None


# -- the marks in a type -----------------------------------------------------------------------------------------------


def sensitive_fields(annotation: object) -> tuple[str, ...]:
    """The paths of the fields that a payload's type marks as sensitive, as they are called in its JSON.

    Raises:
        RegistrationError: marks that cannot be read, because a type in the annotation is not known.
    """
    return tuple(dict.fromkeys(".".join(path) for path in _marked(annotation, ())))


def _marked(annotation: Any, above: tuple[object, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ANN401  # a type form
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *notes = get_args(annotation)
        if any(note is Sensitive or isinstance(note, Sensitive) for note in notes):
            yield ()
        else:
            yield from _marked(inner, above)
    elif origin in (Union, UnionType, list, tuple, set, frozenset, Sequence):
        for inner in get_args(annotation):
            yield from _marked(inner, above)
    elif origin in (dict, Mapping):
        for path in _marked(get_args(annotation)[-1], above):
            yield ("*", *path)
    elif isinstance(annotation, type) and annotation not in above:  # a type may contain itself
        for name, inner in _fields(annotation):
            for path in _marked(inner, (*above, annotation)):
                yield (name, *path)


def _fields(kind: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401  # any class
    """The fields of a model, dataclass, TypedDict or Struct: their names in JSON, and their annotations."""
    models = getattr(kind, "model_fields", None)
    if isinstance(models, dict):  # pydantic's, which has resolved them already
        for name, field in models.items():
            metadata = tuple(field.metadata)
            hint = Annotated[field.annotation, *metadata] if metadata else field.annotation
            yield field.serialization_alias or field.alias or name, hint
        return
    if not hasattr(kind, "__annotations__") or kind.__module__ == "builtins":
        return
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError) as error:
        if "Sensitive" not in str(kind.__annotations__):
            return
        raise RegistrationError(
            f"the sensitive fields of {kind.__name__} cannot be read ({error}); define its types at module level"
        ) from None
    encoded = dict(
        zip(getattr(kind, "__struct_fields__", ()), getattr(kind, "__struct_encode_fields__", ()), strict=True)
    )
    for name, hint in hints.items():
        yield encoded.get(name, name), hint
