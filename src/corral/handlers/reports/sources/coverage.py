"""Coverage files: Cobertura (coverage.py's XML is one), coverage.py's JSON, LCOV and JaCoCo."""

from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode

from corral.handlers.reports.sources.files import InputFile, InputFileError, local, number, parse_xml, whole


class FileCoverage(Struct, frozen=True, kw_only=True):
    """How much of one source file was run. `missing` are the numbers of lines that were not, where that is known."""

    path: str
    lines: int
    covered: int
    branches: int = 0
    covered_branches: int = 0
    missing: tuple[int, ...] = ()

    @property
    def percent(self) -> float | None:
        return share(self.covered, self.lines)


class Coverage(Struct, frozen=True, kw_only=True):
    """How much of a project was run."""

    tool: str
    files: tuple[FileCoverage, ...]

    @property
    def lines(self) -> int:
        return sum(one.lines for one in self.files)

    @property
    def covered(self) -> int:
        return sum(one.covered for one in self.files)

    @property
    def percent(self) -> float | None:
        return share(self.covered, self.lines)

    @property
    def branch_percent(self) -> float | None:
        return share(sum(one.covered_branches for one in self.files), sum(one.branches for one in self.files))


def share(part: int, whole: int) -> float | None:
    """A share in percent; None of nothing."""
    return 100 * part / whole if whole else None


def read_coverage(file: InputFile) -> Coverage:
    """Read a coverage file, whichever of the four it is.

    Raises:
        InputFileError: it is none of them, or damaged.
    """
    head = file.content[:4_096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        root = parse_xml(file)
        readers: dict[str, Callable[[InputFile, Element], Coverage]] = {"coverage": _cobertura, "report": _jacoco}
        reader = readers.get(local(root.tag))
        if reader is None:
            raise InputFileError(file.name, f"<{local(root.tag)[:40]}> is neither Cobertura nor JaCoCo")
        return reader(file, root)
    if head.startswith(b"{"):
        return _coverage_py(file)
    if head.startswith((b"TN:", b"SF:")) or b"\nSF:" in head:
        return _lcov(file)
    raise InputFileError(file.name, "it is none of Cobertura, JaCoCo, LCOV and coverage.py's JSON")


# -- Cobertura ---------------------------------------------------------------------------------------------------------


def _cobertura(file: InputFile, root: Element) -> Coverage:
    """Classes of one file, such as inner ones, are put together: a line counts once."""
    hits: dict[str, dict[int, bool]] = {}
    branches: dict[str, dict[int, tuple[int, int]]] = {}
    for found in root.iter():
        if local(found.tag) != "class":
            continue
        path = found.get("filename") or found.get("name") or "?"
        lines = hits.setdefault(path, {})
        for entry in _class_lines(found):
            place = whole(entry.get("number"))
            lines[place] = lines.get(place, False) or number(entry.get("hits")) > 0
            if entry.get("branch") == "true":
                branches.setdefault(path, {})[place] = _condition(entry.get("condition-coverage", ""))
    tool = "coverage.py" if root.get("version", "").startswith(("5.", "6.", "7.")) else "Cobertura"
    return Coverage(tool=tool, files=tuple(_file(path, lines, branches.get(path, {})) for path, lines in hits.items()))


def _class_lines(found: Element) -> Iterable[Element]:
    """The lines of a class stand below it; those of its methods repeat them."""
    own = [child for child in found if local(child.tag) == "lines"]
    return (
        (line for lines in own for line in lines) if own else (one for one in found.iter() if local(one.tag) == "line")
    )


def _condition(text: str) -> tuple[int, int]:
    """The two numbers of `50% (1/2)`."""
    inside = text.partition("(")[2].rstrip(")")
    covered, _, total = inside.partition("/")
    return whole(covered), whole(total)


def _file(path: str, lines: dict[int, bool], branches: dict[int, tuple[int, int]]) -> FileCoverage:
    return FileCoverage(
        path=path,
        lines=len(lines),
        covered=sum(lines.values()),
        branches=sum(total for _, total in branches.values()),
        covered_branches=sum(covered for covered, _ in branches.values()),
        missing=tuple(sorted(place for place, hit in lines.items() if not hit)),
    )


# -- JaCoCo ------------------------------------------------------------------------------------------------------------


def _jacoco(file: InputFile, root: Element) -> Coverage:
    files = []
    for package in (one for one in root.iter() if local(one.tag) == "package"):
        for source in (one for one in package if local(one.tag) == "sourcefile"):
            path = "/".join(filter(None, (package.get("name", ""), source.get("name", "?"))))
            lines = {whole(one.get("nr")): number(one.get("ci")) > 0 for one in source if local(one.tag) == "line"}
            counters = {one.get("type"): one for one in source if local(one.tag) == "counter"}
            branches = counters.get("BRANCH")
            missed, covered = (
                (whole(branches.get("missed")), whole(branches.get("covered"))) if branches is not None else (0, 0)
            )
            found = _file(path, lines, {0: (covered, missed + covered)})
            files.append(found)
    if not files:
        raise InputFileError(file.name, "it is no JaCoCo report, or one without source files")
    return Coverage(tool="JaCoCo", files=tuple(files))


# -- coverage.py's JSON ------------------------------------------------------------------------------------------------


class _Summary(Struct):
    num_statements: int = 0
    covered_lines: int = 0
    num_branches: int = 0
    covered_branches: int = 0


class _JsonFile(Struct):
    summary: _Summary
    missing_lines: list[int] = []


class _Json(Struct):
    files: dict[str, _JsonFile]


def _coverage_py(file: InputFile) -> Coverage:
    try:
        found = decode(file.content.removeprefix(b"\xef\xbb\xbf"), type=_Json)
    except (DecodeError, ValidationError, UnicodeDecodeError) as error:
        raise InputFileError(file.name, f"not coverage.py's JSON ({error})") from None
    files = tuple(
        FileCoverage(
            path=path,
            lines=one.summary.num_statements,
            covered=one.summary.covered_lines,
            branches=one.summary.num_branches,
            covered_branches=one.summary.covered_branches,
            missing=tuple(one.missing_lines),
        )
        for path, one in found.files.items()
    )
    return Coverage(tool="coverage.py", files=files)


# -- LCOV --------------------------------------------------------------------------------------------------------------


def _lcov(file: InputFile) -> Coverage:
    """A file may stand in it several times, once for each test: its hits are added up."""
    lines: dict[str, dict[int, bool]] = {}
    branches: dict[str, dict[tuple[str, ...], bool]] = {}
    path = ""
    for entry in file.content.decode("utf-8", "replace").splitlines():
        kind, _, rest = entry.strip().partition(":")
        if kind == "SF":
            path = rest
            lines.setdefault(path, {})
        elif kind == "DA" and path:
            place, _, hits = rest.partition(",")
            known = lines[path]
            known[whole(place)] = known.get(whole(place), False) or number(hits.partition(",")[0]) > 0
        elif kind == "BRDA" and path:
            *key, taken = rest.split(",")
            found = branches.setdefault(path, {})
            found[tuple(key)] = found.get(tuple(key), False) or number(taken) > 0
        elif kind == "end_of_record":
            path = ""
    if not lines:
        raise InputFileError(file.name, "no file is named in it")
    return Coverage(tool="LCOV", files=tuple(_lcov_file(path, found, branches) for path, found in lines.items()))


def _lcov_file(path: str, lines: dict[int, bool], branches: dict[str, dict[tuple[str, ...], bool]]) -> FileCoverage:
    taken = branches.get(path, {})
    return _file(path, lines, {0: (sum(taken.values()), len(taken))})
