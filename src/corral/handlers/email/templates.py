"""Templates: a fixed set of names, each with an HTML and a text part, filled with a job's data and nothing else.

The set is read when it is made, from this package and from a folder of the application's own. A payload names a
template and never a path; its data are values, which no template engine ever reads as source.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from css_inline import CSSInliner, InlineError
from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from corral.errors import ConfigError, PayloadError, closest
from corral.handlers.email.statuses import outcome, tone

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PARTS = ("html", "txt")
_HEAD = '<head><meta charset="utf-8">'
_LINK = re.compile(r"(?:https?://[^\s/]|mailto:)\S+", re.IGNORECASE)
#: What filling a template raises when the data do not fit it: trying again with the same data cannot help.
_MISFITS = (TemplateError, InlineError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class Rendered(NamedTuple):
    """The two parts of a mail."""

    html: str
    text: str


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What templates see as `mail`, beside the job's data."""

    subject: str
    brand: str


class _Environment(SandboxedEnvironment):
    def getattr(self, obj: object, attribute: str) -> object:
        # `person.items` means the data's "items" when it has such a key, not the method of Python's dict.
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class Templates:
    """The templates of corral, and those of a folder of your own, which wins where names are the same.

    A folder has `name.html` and `name.txt` for each template; what begins with `_` is for extending and importing.
    Templates are code that you trust: they are read once, here.

    Raises:
        ConfigError: a folder that cannot be read, a template with one part only, or one that is not valid.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        own = {} if folder is None else _read_folder(Path(folder))
        sources = {**_built_in(), **own}
        self.names = tuple(sorted({name.rpartition(".")[0] for name in sources if not name.startswith("_")}))
        self._environment = _Environment(
            loader=DictLoader(sources), undefined=StrictUndefined, auto_reload=False, cache_size=-1, trim_blocks=True,
            lstrip_blocks=True, keep_trailing_newline=False, autoescape=lambda name: not (name or "").endswith(".txt"),
        )  # fmt: skip
        self._environment.globals.clear()  # no lipsum, no cycler: templates see the data, and nothing else
        self._environment.filters.update(link=_link, paragraphs=_paragraphs, shown=_shown, tone=tone, outcome=outcome)
        # No network and no files: a stylesheet is in the template or it is not there.
        self._inliner = CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
        for name in own:
            self._compile(name)

    def __repr__(self) -> str:
        return f"<Templates: {', '.join(self.names)}>"

    def check(self, name: str) -> str:
        """Check that there is a template of this name. Raises: PayloadError."""
        if name not in self.names:
            near = closest(name, self.names)
            hint = f"; did you mean {near!r}?" if near else f"; there are {', '.join(self.names)}"
            raise PayloadError(f"template {name[:80]!r} does not exist{hint}")
        return name

    def render(self, name: str, data: Mapping[str, object], mail: MailFacts) -> Rendered:
        """Fill both parts. The data's keys are the template's variables; `mail` and `data` are reserved.

        Raises:
            PayloadError: no such template, or data it cannot be filled with; the message names the variable.
        """
        self.check(name)
        values = {**data, "data": data, "mail": mail}
        try:
            html, text = (self._environment.get_template(f"{name}.{part}").render(values) for part in _PARTS)
            # Browsers look for the encoding in the first 1,024 bytes, where the inliner puts the rules it keeps.
            return Rendered(self._inliner.inline(html).replace("<head>", _HEAD, 1), _tidy(text))
        except _MISFITS as error:
            raise PayloadError(f"template {name!r} cannot be filled: {error}") from None

    def _compile(self, name: str) -> None:
        try:
            self._environment.get_template(name)
        except TemplateSyntaxError as error:
            message = f"template {error.name or name} is not valid in line {error.lineno}: {error.message}"
            raise ConfigError(message, key="templates") from None
        except TemplateError as error:
            raise ConfigError(f"template {name} is not valid: {error}", key="templates") from None


@cache
def built_in() -> Templates:
    """The templates that come with corral, read once in a process."""
    return Templates()


def preview(
    template: str, data: Mapping[str, object], *, subject: str = "Preview", brand: str = "corral",
    templates: Templates | str | Path | None = None,
) -> tuple[str, str]:  # fmt: skip
    """What a mail would look like: its HTML and its text. Sends nothing.

    Raises:
        PayloadError: no such template, or data it cannot be filled with.
    """
    rendered = chosen(templates).render(template, data, MailFacts(subject, brand))
    return rendered.html, rendered.text


def chosen(templates: Templates | str | Path | None) -> Templates:
    """Templates, given as such, as a folder, or not at all. Raises: ConfigError."""
    if templates is None:
        return built_in()
    return templates if isinstance(templates, Templates) else Templates(templates)


# -- reading -----------------------------------------------------------------------------------------------------------


def _built_in() -> dict[str, str]:
    folder = files("corral.handlers.email") / "templates"
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if _part(file.name)}


def _read_folder(folder: Path) -> dict[str, str]:
    try:
        found = {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.iterdir()) if _part(file.name)}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"templates cannot be read from {str(folder)!r}: {error}", key="templates") from None
    for file in found:
        name, _, part = file.rpartition(".")
        if name.startswith("_"):
            continue
        if not _NAME.fullmatch(name):
            raise ConfigError(f"template {file!r} must be named in lower case letters, digits and -", key="templates")
        other = f"{name}.{'txt' if part == 'html' else 'html'}"
        if other not in found:
            raise ConfigError(f"template {file!r} has no {other!r} beside it in {str(folder)!r}", key="templates")
    return found


def _part(file: str) -> bool:
    return file.rpartition(".")[2] in _PARTS


# -- filters -----------------------------------------------------------------------------------------------------------


def _link(value: object) -> str:
    """A link that opens a page or a mail, and nothing that runs."""
    text = str(value).strip()  # a missing variable says so here
    if not _LINK.fullmatch(text):
        raise PayloadError(f"a link must begin with https://, http:// or mailto:, unlike {text[:30]!r}")
    return text


def _paragraphs(value: object) -> list[list[str]]:
    """A text as paragraphs of lines: empty lines part paragraphs."""
    return [block.split("\n") for block in re.split(r"\n\s*\n", "\n".join(str(value).strip().splitlines()))]


def _shown(value: object) -> str:
    """A JSON value as people read it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_shown(item) for item in value)
        case dict():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _tidy(text: str) -> str:
    """At most one empty line in a row, none at the ends; what conditions leave behind."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip("\n") + "\n"
