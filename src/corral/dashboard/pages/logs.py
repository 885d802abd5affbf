"""A job's log: a page of lines with their levels, and all of it as a file."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from starlette.responses import Response, StreamingResponse

from corral.dashboard.lines import LEVELS, Line, line_of, plain
from corral.dashboard.visit import Visit
from corral.http.models.links import part

#: Lines of one page, and of one answer while a file is made.
MANY = 1_000


async def read(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    """A page of the log: its newest lines, or those from `start` on."""
    start, level = visit.parameter("start"), visit.parameter("level")
    if start.isdecimal() and len(start) < 10:
        found = await _lines(visit, at, start=int(start), limit=MANY)
    else:
        found = await _lines(visit, at, limit=MANY, order="desc")
    lines = sorted((line_of(one) for one in found[0]), key=lambda one: one.n)
    return {
        "lines": _of_level(lines, level), "read": len(lines), "total": found[1],
        "begin": lines[0].n if lines else 0, "end": lines[-1].n + 1 if lines else 0,
        "level": level if level in LEVELS else "", "levels": LEVELS, "many": MANY,
        "has_levels": any(one.level for one in lines),
    }  # fmt: skip


def _of_level(lines: Sequence[Line], level: str) -> list[Line]:
    """Lines of this level and of worse ones; all of them when it is none."""
    if level not in LEVELS:
        return list(lines)
    wanted = LEVELS[LEVELS.index(level) :]
    return [one for one in lines if one.level in wanted]


async def _lines(
    visit: Visit, at: str, **parameters: "str | int"
) -> tuple[Sequence[Mapping[str, object]], int]:  # fmt: skip
    found = cast(Mapping[str, object], await visit.api.get(f"{at}/logs", **parameters))
    return cast("Sequence[Mapping[str, object]]", found["items"]), cast(int, found["total"])


async def download(visit: Visit) -> Response:
    """The whole log as a text file, read piece by piece."""
    at = f"/queues/{part(visit.part('q'))}/jobs/{part(visit.part('id'))}"
    first, total = await _lines(visit, at, start=0, limit=MANY)

    async def pieces() -> AsyncIterator[str]:
        yield _text(first)
        for start in range(MANY, total, MANY):
            yield _text((await _lines(visit, at, start=start, limit=MANY))[0])

    headers = {"Content-Disposition": 'attachment; filename="log.txt"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces(), headers=headers, media_type="text/plain; charset=utf-8")


def _text(lines: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{plain(str(one['message']))}\n" for one in lines)


PAGES = (("GET", "/queues/{q}/jobs/{id}/log", download),)
