"""Running typst: small documents here, large ones in a process of their own.

typst remembers what it laid out for ten documents: ten PDF of 1,000 rows made a worker grow to 1.2 GB, and it never
became smaller. A process of its own costs 0.2 s and gives all of it back.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, structs

from corral.errors import CorralError

#: Twenty thousand rows, on a slow machine that has much else to do.
PATIENCE = 240.0
# Nothing of corral is needed there, and nothing is imported from the folder that the worker happens to be in (-P).
_CHILD = """
import json, sys, typst
from datetime import datetime, timezone
from pathlib import Path
job = json.load(sys.stdin.buffer)
made = typst.compile(
    Path(job["template"]), root=Path(job["template"]).parent, font_paths=[Path(path) for path in job["fonts"]],
    sys_inputs={"view": job["view"]}, pdf_tags=job["tags"],
    timestamp=datetime.fromtimestamp(job["made_at"], timezone.utc),
)
sys.stdout.buffer.write(made)
"""
_CHARACTERS = Path(__file__).with_name("templates") / "characters.typ"


class TypesettingError(CorralError):
    """A PDF could not be set."""


class Sheet(Struct, frozen=True, kw_only=True):
    """What is to be set: a template, the data it reads as JSON, and fonts: folders and files."""

    template: str
    view: str
    fonts: tuple[str, ...]
    made_at: int  #: seconds since the epoch
    tags: bool


def typeset(sheet: Sheet, *, apart: bool) -> bytes:
    """Set a PDF. Blocking.

    Args:
        apart: in a process of its own, with as much time as a large document may need.

    Raises:
        TypesettingError: typst refused, or its process died.
    """
    return _apart(sheet) if apart else _here(sheet)


def lacking(characters: str, fonts: Sequence[str]) -> str:
    """Those of these characters that no font has: the built-in ones, the system's, and those in `fonts`.

    typst sets a box for such a character and says nothing. PDF/A forbids that box, so there it names what it lacks: the
    characters are set as PDF/A, and what comes of it is thrown away.
    """
    import typst

    try:
        typst.compile(
            _CHARACTERS,
            root=_CHARACTERS.parent,
            font_paths=[Path(path) for path in fonts],
            sys_inputs={"characters": json.dumps(list(characters), ensure_ascii=False)},
            format="pdf",
            pdf_standards="a-2b",
        )
    except typst.TypstError as error:
        said = error.diagnostic
        return "".join(one for one in characters if f'"{one}"' in said or f"\\u{{{ord(one):x}}}" in said)
    return ""


def _here(sheet: Sheet) -> bytes:
    import typst

    template = Path(sheet.template)
    try:
        made = typst.compile(
            template,
            root=template.parent,  # the templates: nothing else could be read, if one of them wanted to
            font_paths=[Path(path) for path in sheet.fonts],
            sys_inputs={"view": sheet.view},
            pdf_tags=sheet.tags,
            timestamp=datetime.fromtimestamp(sheet.made_at, UTC),
        )
    except typst.TypstError as error:
        raise TypesettingError(f"typst: {str(error)[:500]}") from None
    assert isinstance(made, bytes)
    return made


def _apart(sheet: Sheet) -> bytes:
    command = [sys.executable, "-P", "-c", _CHILD]
    job = json.dumps(structs.asdict(sheet)).encode()
    try:
        done = subprocess.run(command, input=job, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise TypesettingError(f"a PDF was not set within {PATIENCE:.0f} s") from None
    if done.returncode or not done.stdout.startswith(b"%PDF"):
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise TypesettingError(f"the process that sets PDF ended with {done.returncode}: {said[:500]}")
    return done.stdout
