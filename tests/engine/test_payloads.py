"""Payloads: what goes in as a type comes out as that type, and what is refused is refused with every complaint."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from msgspec import Struct
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from corral import Corral, JobDefinition
from corral.errors import PayloadError
from corral.job import NewJob
from corral.payload import MAX_BYTES
from tests.engine.helpers import ending, reason, work_off, working


class Line(BaseModel):
    sku: str
    count: int = Field(gt=0)


class Model(BaseModel):
    to: str = Field(alias="recipient", min_length=1)
    when: datetime
    kind: Literal["weekly", "monthly"] = "weekly"
    lines: list[Line] = []


@dataclass
class Data:
    to: str
    count: Annotated[int, Field(gt=0)] = 1


class Typed(TypedDict):
    to: str
    count: int


class Packed(Struct):
    to: str
    count: int = 1


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD: dict[str, tuple[Any, object]] = {
    "pydantic": (Model, Model(recipient="ann", when=NOON, kind="monthly", lines=[Line(sku="a", count=2)])),
    "dataclass": (Data, Data("zażółć 🐎", 3)),
    "TypedDict": (Typed, Typed(to="ann", count=2)),
    "Struct": (Packed, Packed("ann", 4)),
    "dict": (dict[str, Any], {"to": "ann", "nested": {"list": [1, 2.5, None, True]}}),
    "list of models": (list[Line], [Line(sku="a", count=1), Line(sku="b", count=2)]),
    "union": (int | str, "seven"),
    "anything": (Any, [1, {"a": None}]),
    "nothing": (None, None),
}


def take(app: Corral, annotation: Any, seen: list[object]) -> JobDefinition[Any, Any]:
    """A job whose payload has this type, and which keeps what it gets."""

    def handler(data: object) -> None:
        seen.append(data)

    handler.__annotations__["data"] = annotation
    return app.queue("work", attempts=5).job("take")(handler)


@pytest.mark.parametrize("kind", GOOD)
async def test_a_payload_arrives_as_the_type_that_the_handler_declares(app: Corral, kind: str) -> None:
    annotation, value = GOOD[kind]
    seen: list[object] = []
    await take(app, annotation, seen).add(value)
    await work_off(app)
    assert seen == [value]
    assert type(seen[0]) is type(value)


async def test_a_handler_without_parameters_takes_no_payload(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("tick")
    async def tick() -> str:
        return "ticked"

    handle = await tick.add()
    with pytest.raises(PayloadError, match="takes no payload"):
        await tick.add({"a": 1})  # type: ignore[arg-type]  # what is wrong here
    async with working(app):
        assert await handle.result() == "ticked"


@pytest.mark.parametrize(("annotation", "value"), [
    (Model, {"recipient": "ann", "when": "2026-03-01T12:00:00Z"}),
    (Data, {"to": "ann"}),
    (Typed, {"to": "ann", "count": 2}),
    (Packed, {"to": "ann"}),
])  # fmt: skip
async def test_a_plain_dict_will_do_for_every_type(app: Corral, annotation: Any, value: dict[str, object]) -> None:
    seen: list[object] = []
    handle = await take(app, annotation, seen).add(value)
    await work_off(app)
    assert (await handle.get()).failed_reason is None
    assert len(seen) == 1


async def test_a_model_is_stored_under_the_names_that_it_reads(app: Corral) -> None:
    handle = await take(app, Model, []).add(Model(recipient="ann", when=NOON))
    stored = json.loads((await handle.get()).data)
    assert stored == {"recipient": "ann", "when": "2026-03-01T12:00:00Z", "kind": "weekly", "lines": []}


# -- refused when added ------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, Any, list[str]]] = {
    "pydantic": (Model, {"recipient": "", "when": "soon", "kind": "daily"}, ["recipient", "when", "kind"]),
    "nested": (
        Model,
        {"recipient": "ann", "when": NOON, "lines": [{"sku": "a", "count": 0}, {"count": 1}]},
        ["lines.0.count", "lines.1.sku"],
    ),
    "dataclass": (Data, {"count": "many"}, ["to", "count"]),
    "TypedDict": (Typed, {"to": 1}, ["to", "count"]),
    "Struct": (Packed, {"to": 1}, ["$.to"]),
    "dict": (dict[str, Any], [1, 2], ["expected a dict"]),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_payload_that_is_refused_lists_every_complaint_and_writes_nothing(app: Corral, kind: str) -> None:
    annotation, value, complaints = BAD[kind]
    job = take(app, annotation, [])
    with pytest.raises(PayloadError) as caught:
        await job.add(value)
    assert len(caught.value.errors) == len(complaints)
    for complaint, error in zip(complaints, caught.value.errors, strict=True):
        assert complaint in error
        assert error in str(caught.value)
    assert (await (await app.open_queue("work")).counts()).waiting == 0


@pytest.mark.parametrize("value", [Data("ann", -1), Data(7)], ids=["out of range", "wrong type"])  # type: ignore[arg-type]
async def test_an_object_with_wrong_fields_is_refused_like_a_dict(app: Corral, value: Data) -> None:
    with pytest.raises(PayloadError) as caught:
        await take(app, Data, []).add(value)
    assert len(caught.value.errors) == 1


CIRCULAR: list[object] = []
CIRCULAR.append(CIRCULAR)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]

NOT_JSON: dict[str, object] = {
    "NaN": {"x": float("nan")},
    "infinity": {"x": float("inf")},
    "bytes": {"x": b"x"},
    "set": {"x": {1}},
    "object": {"x": object()},
    "circular": {"x": CIRCULAR},
    "half a surrogate pair": {"x": "\ud800"},
    "65 levels": {"x": json.loads("[" * 64 + "]" * 64)},
    "100,000 levels": {"x": DEEP},
    "2 MB": {"x": "x" * 2_000_000},
    "a byte too long": {"x": "x" * (MAX_BYTES - 7)},
}


@pytest.mark.parametrize("what", NOT_JSON)
@pytest.mark.mission("M-GL-73")
async def test_what_is_not_json_or_too_large_is_refused_and_nothing_is_written(app: Corral, what: str) -> None:
    job = take(app, dict[str, Any], [])
    queue = await app.open_queue("work")
    with pytest.raises(PayloadError):
        await job.add(NOT_JSON[what])
    with pytest.raises(PayloadError):
        await queue.add("take", NOT_JSON[what])
    assert (await queue.counts()).waiting == 0


async def test_a_payload_of_exactly_the_limit_goes_through(app: Corral) -> None:
    seen: list[object] = []
    value = {"x": "x" * (MAX_BYTES - 8)}
    assert len(json.dumps(value, separators=(",", ":"))) == MAX_BYTES
    await take(app, dict[str, Any], seen).add(value)
    await work_off(app)
    assert seen == [value]


# -- refused when run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.mission("M-AI-58")
async def test_a_stored_payload_that_is_refused_fails_at_once_with_every_complaint(app: Corral, kind: str) -> None:
    annotation, value, complaints = BAD[kind]
    seen: list[object] = []
    take(app, annotation, seen)
    text = json.dumps(value, default=str)
    async with app, working(app):
        queue = await app.open_queue("work")
        [handle] = await queue.add_jobs([NewJob(queue="work", name="take", data=text)])
        said = await reason(handle)
    assert said.startswith("PayloadError: ")
    assert [complaint for complaint in complaints if complaint.replace("a dict", "an object") not in said] == []
    assert seen == []


@pytest.mark.parametrize(
    "text",
    [" ", "{", "NaN", '{"a":1}}', "\x00", "[" * 100_000],
    ids=["blank", "cut", "NaN", "too much", "zero", "deep"],
)
async def test_stored_data_that_is_not_json_fails_at_once_and_the_next_job_runs(app: Corral, text: str) -> None:
    seen: list[object] = []
    job = take(app, dict[str, Any], seen)
    queue = await app.open_queue("work")
    [bad] = await queue.add_jobs([NewJob(queue="work", name="take", data=text)])
    await job.add({"next": True})
    await work_off(app)
    assert (await ending(bad)).attempts_made == 1
    assert (await reason(bad)).startswith("PayloadError: payload ")
    assert seen == [{"next": True}]
