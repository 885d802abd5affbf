"""Which formats there are, and which of them this installation can make."""

from importlib.util import find_spec
from typing import Literal, NamedTuple, TypeAlias, get_args

from corral.errors import ConfigError

Format: TypeAlias = Literal["html", "pdf", "xlsx", "csv", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Facts(NamedTuple):
    """What a format is called elsewhere, and the packages without which it cannot be made."""

    content_type: str
    needs: tuple[str, ...] = ()


FACTS: dict[Format, Facts] = {
    "html": Facts("text/html; charset=utf-8", ("jinja2",)),
    "pdf": Facts("application/pdf", ("typst",)),
    "xlsx": Facts("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ("xlsxwriter",)),
    "csv": Facts("text/csv; charset=utf-8"),
    "json": Facts("application/json"),
}


def missing(form: Format) -> tuple[str, ...]:
    """The packages that a format lacks here."""
    return tuple(name for name in FACTS[form].needs if find_spec(name) is None)


def available() -> tuple[Format, ...]:
    """The formats that can be made here."""
    return tuple(form for form in FORMATS if not missing(form))


def why_not(form: Format) -> str:
    """What to do about a format that cannot be made here; empty when it can."""
    lacking = missing(form)
    if not lacking:
        return ""
    return f"format {form!r} needs an extra: pip install 'corral[reports]' (missing: {', '.join(lacking)})"


def need_format(form: Format) -> None:
    """Raise ConfigError, which names the extra, unless a format can be made here."""
    if lacking := why_not(form):
        raise ConfigError(lacking, key="reports")


def has_charts() -> bool:
    """Whether charts can be drawn here; without them, outputs show the numbers as a table."""
    return find_spec("matplotlib") is not None
