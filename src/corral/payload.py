"""Payloads: between a Python value and the JSON text that is stored, in both directions, checked each way.

Plain JSON values go through the standard library's encoder with NaN refused (msgspec would silently write null). A
handler that annotates its payload gets that type: pydantic models, dataclasses and TypedDicts through pydantic, which
lists every complaint at once; `msgspec.Struct`s through msgspec.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin, is_typeddict

import msgspec
from msgspec import Struct

from corral.codec.chain import MARKS, refuse_sealed
from corral.errors import PayloadError, ResultError
from corral.sensitive import is_marked, is_secret_name, sensitive_fields

MAX_BYTES = 1_000_000
MAX_DEPTH = 64

#: What a handler without a result returns.
NULL = "null"
_PLAIN = {None: NULL, True: "true", False: "false"}


def _plain(value: object) -> object:
    """Take a model, dataclass or Struct apart: the encoder asks for whatever is not plain JSON, at any depth."""
    if isinstance(value, Struct) or (is_dataclass(value) and not isinstance(value, type)):
        return msgspec.to_builtins(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None and hasattr(type(value), "model_validate"):  # a pydantic model, without importing pydantic
        dumped: object = dump(mode="json")
        if _MASK in repr(dumped):
            raise TypeError("it has a secret, which would be stored as asterisks: pass a key to look it up with")
        return dumped
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_CODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _ready_made() -> Callable[[object, int], Sequence[str]] | None:
    """The encoder that the standard library makes anew for every call, which takes as long as encoding a small payload.

    Without its own memory of circles, which would be shared: a circle then ends as a RecursionError.
    """
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return None
    encoder: Callable[[object, int], Sequence[str]] = make(
        None, _plain, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return encoder


_READY = _ready_made()


#: Not `str | int | float` where it is asked for, which would be put together anew for every payload.
_SCALARS = (str, int, float)


def _encode(value: object) -> str:
    if _READY is None or isinstance(value, _SCALARS):
        return _CODER.encode(value)
    return "".join(_READY(value, 0))


def _depth(text: str) -> int:
    """How deeply the JSON text nests. Only called on texts long enough to nest too deeply."""
    deepest = depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def to_json(value: object, what: str, *, limit: int = MAX_BYTES) -> str:
    """A plain JSON value as compact JSON text.

    Raises:
        PayloadError: not JSON (NaN, infinity, bytes, sets, objects, circular), half a surrogate pair, nested deeper
            than 64, or longer than `limit` bytes.
    """
    if value is None or value is True or value is False:
        return _PLAIN[value]
    try:
        text = _encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        problem = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise PayloadError(f"{what} is not JSON: {problem}") from None
    if size > limit:
        raise PayloadError(
            f"{what} has {size:,} bytes, more than the limit of {limit:,}: store it elsewhere and pass its key"
        )
    if size > MAX_DEPTH:  # no shorter text nests too deeply
        _check_depth(text, what)
    return text


def _check_depth(text: str, what: str) -> None:
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise PayloadError(f"{what} nests deeper than {MAX_DEPTH} levels")


def from_json(text: str) -> object:
    """The plain value of a stored JSON text.

    Raises:
        PayloadError: not JSON, longer than the limit or nested too deeply (another program may have written it); or
            sealed, and nobody here could open it.
    """
    if text.startswith(MARKS):
        refuse_sealed(text)
    size = len(text)
    if size > 16 * MAX_BYTES:
        raise PayloadError(f"payload has {size:,} characters, more than any payload may have")
    if size > MAX_DEPTH:  # no shorter text nests too deeply
        _check_depth(text, "payload")
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise PayloadError(f"payload is not JSON: {error}") from None
    return value


def result_json(value: object, limit: int = MAX_BYTES) -> str:
    """What a handler returned, as JSON text. Models, dataclasses and Structs are taken apart first.

    Raises:
        ResultError: it is not JSON, or too long.
    """
    try:
        return to_json(value, "result", limit=limit)
    except PayloadError as error:
        raise ResultError(str(error)) from None


class PayloadType:
    """How one handler's payload is checked, written and read. Built once, from the handler's annotation."""

    def __init__(self, annotation: object) -> None:
        self.annotation = annotation
        self.sensitive = sensitive_fields(annotation)  #: paths of the fields that are never shown
        self.limit = MAX_BYTES  #: bytes of the JSON text; its queue may set another
        self._validate = _validator(annotation)
        self._adapter: Any = None

    def limited(self, limit: int) -> "PayloadType":
        """The same type with another limit, for a queue that sets one."""
        made = copy(self)
        made.limit = limit
        return made

    def encode(self, value: object) -> str:
        """Check a value against the type and give its JSON text.

        Raises:
            PayloadError: every complaint of the type is in `errors`.
        """
        return to_json(self._dump(value), "payload", limit=self.limit)

    def decode(self, text: str) -> object:
        """The typed value of a stored JSON text.

        Raises:
            PayloadError: as `encode`; a job whose payload is refused fails at once, because trying again cannot help.
        """
        value = from_json(text)
        match self._validate:
            case "any":
                return value
            case "dict":
                if not isinstance(value, dict):
                    raise PayloadError("payload is refused", [f"expected an object, got {type(value).__name__}"])
                return value
            case "none":
                return None
            case "struct":
                return self._convert(value)
            case _:
                return self._pydantic(value)

    def json_schema(self) -> dict[str, object]:
        """The JSON Schema of the payload, for forms and documents."""
        match self._validate:
            case "any" | "none":
                return {}
            case "dict":
                return {"type": "object"}
            case "struct":
                return msgspec.json.schema(self.annotation)
            case _:
                schema: dict[str, object] = self._type_adapter().json_schema()
                return schema

    def _dump(self, value: object) -> object:
        match self._validate:
            case "any":
                return value
            case "dict":
                if value is None:
                    return {}
                if not isinstance(value, dict):
                    raise PayloadError("payload is refused", [f"expected a dict, got {type(value).__name__}"])
                return value
            case "none":
                if value is not None and value != {}:
                    raise PayloadError("payload is refused", ["this handler takes no payload"])
                return {}
            case "struct":
                return msgspec.to_builtins(
                    self._convert(msgspec.to_builtins(value))
                )  # an object's fields may be anything
            case _:
                return self._dump_pydantic(value)

    def _dump_pydantic(self, value: object) -> object:
        from pydantic_core import PydanticSerializationError

        adapter = self._type_adapter()
        checked = self._pydantic(value)
        try:
            # `round_trip` leaves computed fields out: the type would refuse them when it reads the payload again.
            dumped: object = adapter.dump_python(checked, mode="json", by_alias=True, round_trip=True, warnings=False)
        except PydanticSerializationError as error:
            raise PayloadError("payload is refused", [str(error)]) from None
        if checked is value:  # pydantic takes an object of the type as it is; its fields may be anything by now
            self._pydantic(dumped)
        if _MASK in repr(dumped):
            _refuse_secrets(adapter.dump_python(checked, warnings=False))
        return dumped

    def _convert(self, value: object) -> object:
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise PayloadError("payload is refused", [_struct_complaint(str(error), self.sensitive)]) from None

    def _pydantic(self, value: object) -> object:
        from pydantic import ValidationError  # 150 ms to import: only for handlers that declare such types

        try:
            return self._type_adapter().validate_python(value)
        except ValidationError as error:
            complaints = [_complaint(item, self.sensitive) for item in error.errors(include_url=False)]
            raise PayloadError("payload is refused", complaints) from None

    def _type_adapter(self) -> Any:  # noqa: ANN401  # pydantic's TypeAdapter, which is not imported here
        if self._adapter is None:
            from pydantic import TypeAdapter

            annotation: Any = self.annotation
            self._adapter = TypeAdapter(annotation)
        return self._adapter


#: What pydantic writes in place of a secret.
_MASK = "**********"


def _refuse_secrets(value: object) -> None:
    """A secret would be stored as asterisks, and the handler would read those: say so instead."""
    if hasattr(value, "get_secret_value"):
        raise PayloadError("payload has a secret, which would be lost: pass a key that the handler can look it up with")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_secrets(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_secrets(item)


def _validator(annotation: object) -> str:
    if annotation is None or annotation is type(None):
        return "none"
    if annotation is Any or annotation is object:
        return "any"
    origin = get_origin(annotation)
    if annotation is dict or (origin is dict and get_args(annotation) in {(str, Any), (str, object)}):
        return "dict"
    if isinstance(annotation, type) and not is_typeddict(annotation) and issubclass(annotation, Struct):
        return "struct"
    return "pydantic"


#: Complaints of pydantic that quote the value, or hold whatever a validator of the application's own wrote.
_QUOTING = ("value_error", "assertion_error", "union_tag_invalid")


def _complaint(item: Mapping[str, Any], sensitive: Sequence[str]) -> str:
    """What pydantic says of one field; of a sensitive one only which rule it breaks, for complaints are stored."""
    where = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")  # pydantic's words for a validator's own
    keys = [part for part in item["loc"] if isinstance(part, str)]
    if is_marked(keys, sensitive) or (item["type"] in _QUOTING and any(is_secret_name(key) for key in keys)):
        message = f"its value is refused ({item['type']})"
    elif item["type"] == "union_tag_invalid" and sensitive:  # stands at the union, and quotes the tag inside
        message = "its tag is none of the expected ones"
    return f"{where}: {message}" if where else message


def _struct_complaint(message: str, sensitive: Sequence[str]) -> str:
    """The same of msgspec's complaint, "Invalid enum value 'x' - at `$.card.kind`"."""
    said, _, place = message.rpartition(" - at `$")
    keys = re.findall(r"\.(\w+)|\[\.\.\.\]", place)  # a dictionary's keys are shown as [...]
    if said and is_marked([key or "*" for key in keys], sensitive):
        return f"its value is refused - at `${place}"
    return message
