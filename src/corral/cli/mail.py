"""`corral mail`: look at the mails that an application sends, without sending any."""

import json
import tempfile
import webbrowser
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

import click

from corral.cli.cells import Column
from corral.cli.failures import PARTLY, USAGE, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import command

COMMANDS = {"preview": ("corral.cli.mail:preview", "Fill templates and show the mails; nothing is sent.")}
MAILS = (Column("template", "TEMPLATE"), Column("subject", "SUBJECT"))
INDEX = "index.html"
#: A phone and a window: the two widths that mails are made for.
WIDTHS = (600, 390)


class Mail(NamedTuple):
    """A mail as it would leave."""

    template: str
    subject: str
    html: str
    text: str


@click.group("mail", cls=LazyGroup, lazy=COMMANDS)
def mail() -> None:
    """The mails that an application sends."""


@command("preview")
@click.argument("template", required=False)
@click.option(
    "--data", "file", type=click.Path(dir_okay=False), metavar="FILE", help="What it is about: JSON; - reads."
)
@click.option("--subject", metavar="TEXT", help="The subject; the sample's, when it is not said.")
@click.option("--brand", metavar="NAME", default="corral", show_default=True, help="The name in its head and foot.")
@click.option("--templates", "folder", type=click.Path(file_okay=False), metavar="DIR", help="Your own templates, too.")
@click.option("--html", "as_html", is_flag=True, help="Print the HTML and not the text.")
@click.option(
    "--out", type=click.Path(file_okay=False), metavar="DIR", help="Write files, and a page with all of them."
)
@click.option("--open", "browse", is_flag=True, help="Open that page in a browser.")
def preview(
    template: str | None, file: str | None, subject: str | None, brand: str, folder: str | None, as_html: bool,
    out: str | None, browse: bool,
) -> None:  # fmt: skip
    """Fill TEMPLATE, or all of them, and show what would be sent. Nothing is.

    Without --data a template is filled with a sample: corral's own, or NAME.json beside your NAME.html, which is an
    object with `subject` and `data`.
    """
    printer = Printer.current()
    if template is None and file is not None:
        fail("say which template the --data is for", USAGE)
    mails = _mails(printer, template, file, subject, brand, folder)
    if out is not None or browse:
        page = write(mails, Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="corral-mail-")))
        printer.line(str(page))
        if browse and not webbrowser.open(page.resolve().as_uri()):
            fail(f"no browser could be opened; the mails are in {page}", PARTLY)
    elif template is None:
        printer.rows(MAILS, [one._asdict() for one in mails])
    elif printer.for_people:
        for line in (mails[0].html if as_html else mails[0].text).split("\n"):
            printer.line(line)
    else:
        printer.record(mails[0]._asdict())


def _mails(
    printer: Printer, template: str | None, file: str | None, subject: str | None, brand: str, folder: str | None
) -> list[Mail]:
    """The mails to show. Raises: ConfigError, PayloadError."""
    # Here and not above: the templates need an extra, and the help does not.
    from corral.handlers.email import Templates, samples
    from corral.handlers.email import preview as fill

    known = Templates(folder)
    found = {name: (sample.subject, sample.data) for name, sample in samples().items()}
    found |= _own_samples(Path(folder)) if folder else {}
    if file is not None and template is not None:
        found[template] = ("Preview", _object(file, _text(file)))
    mails = []
    for name in [template] if template is not None else known.names:
        if name in found or template is not None:
            title, data = found.get(name, ("Preview", {}))
            title = subject or title
            mails.append(Mail(name, title, *fill(name, data, subject=title, brand=brand, templates=known)))
        else:
            printer.note(f"{name}: no sample; write one into {name}.json beside it")
    return mails


def _own_samples(folder: Path) -> dict[str, tuple[str, Mapping[str, object]]]:
    found: dict[str, tuple[str, Mapping[str, object]]] = {}
    for path in sorted(folder.glob("*.json")):
        entry = _object(str(path), _text(str(path)))
        data = entry.get("data", {})
        if not isinstance(data, Mapping):
            fail(f"{path}: data must be an object", USAGE)
        found[path.stem] = (str(entry.get("subject", "Preview")), data)
    return found


def _text(file: str) -> str:
    try:
        with click.open_file(file, encoding="utf-8") as stream:
            text: str = stream.read()
        return text
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}", USAGE)


def _object(file: str, text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except ValueError as error:
        fail(f"{file} is not JSON: {error}", USAGE)
    if not isinstance(content, dict):
        fail(f"{file} must hold an object", USAGE)
    return content


# -- files -------------------------------------------------------------------------------------------------------------


def write(mails: Iterable[Mail], folder: Path) -> Path:
    """Write each mail as two files, and a page that shows them all; answers where that is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parts = []
        for one in mails:
            (folder / f"{one.template}.html").write_text(one.html, encoding="utf-8")
            (folder / f"{one.template}.txt").write_text(one.text, encoding="utf-8")
            parts.append(_part(one))
        page = folder / INDEX
        page.write_text(_PAGE.format(parts="\n".join(parts)), encoding="utf-8")
    except OSError as error:
        fail(f"{folder} cannot be written: {error}", USAGE)
    return page


def _part(one: Mail) -> str:
    # The frames are shut in: whatever a template of your own brings along, it runs nothing and reads nothing.
    source = escape(one.html, quote=True)
    frames = "".join(f'<iframe sandbox width="{width}" height="820" srcdoc="{source}"></iframe>' for width in WIDTHS)
    heading = f"<h2>{escape(one.template)}</h2><p>{escape(one.subject)}</p>"
    return f"<section>{heading}<div>{frames}<pre>{escape(one.text)}</pre></div></section>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mails</title>
<style>
  body {{ margin: 24px; font: 15px/22px system-ui, sans-serif; }}
  h2 {{ margin: 32px 0 0; }}
  p {{ margin: 0 0 12px; opacity: 0.7; }}
  div {{ display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }}
  iframe {{ max-width: 100%; border: 1px solid #8886; border-radius: 6px; }}
  pre {{ max-width: 46ch; margin: 0; padding: 16px; border: 1px solid #8886; border-radius: 6px; }}
  pre {{ white-space: pre-wrap; }}
</style>
</head>
<body>
<h1>Mails</h1>
{parts}
</body>
</html>
"""
