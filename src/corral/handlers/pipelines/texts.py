"""What texts of a payload may be: names, paths, patterns, references of git. Everything else is refused when added.

A payload is data from people who may not be trusted. None of it is ever read by a shell; these rules keep it from being
read as an option by a program, as a way out of the workspace, or as something else than it is in a log.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from corral.errors import PayloadError

MAX_ARGUMENT = 8_192
MAX_VALUE = 2_000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}")
_VARIABLE = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_]{0,63})\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_ENV = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PATH_PART = re.compile(r"[A-Za-z0-9_@+=,.*?\[\]()~ -]+")
_SCP = re.compile(r"(?:[a-z_][a-z0-9_-]{0,31}@)?([a-z0-9][a-z0-9.-]*):(?!/)([A-Za-z0-9_.~/-]+)")
_GIT_PATH = re.compile(r"/[A-Za-z0-9_~][A-Za-z0-9_.~/+-]*")


def shown(value: str) -> str:
    """A text of a payload as it may stand in a message."""
    return repr(value if len(value) <= 80 else value[:80] + "…")


def name(value: str, what: str = "name") -> str:
    """A name that can be part of a file's name, too. Raises: PayloadError."""
    if not _NAME.fullmatch(value) or ".." in value:
        raise PayloadError(f"{what} must be lower case letters, digits, '.', '_' and '-', not {shown(value)}")
    return value


def line(value: str, what: str, limit: int = 200) -> str:
    """A text for people, on one line. Raises: PayloadError."""
    if _CONTROLS.search(value) or len(value) > limit or not value.strip():
        raise PayloadError(f"{what} must be one line of 1 to {limit} characters, not {shown(value)}")
    return value


def argument(value: str) -> str:
    """One argument of a command. Raises: PayloadError."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise PayloadError("an argument may not contain NUL or half a surrogate pair")
    if len(value) > MAX_ARGUMENT:
        raise PayloadError(f"an argument may have {MAX_ARGUMENT:,} characters, not {len(value):,}")
    return value


def command(argv: list[str]) -> list[str]:
    """A program by its plain name, and its arguments. Raises: PayloadError."""
    if not argv or not _PROGRAM.fullmatch(argv[0]):
        raise PayloadError(f"a command begins with the plain name of a program, not {shown(argv[0] if argv else '')}")
    return [argument(word) for word in argv]


def value(text: str, what: str) -> str:
    """The value of a variable. Raises: PayloadError."""
    if _CONTROLS.search(text) or len(text) > MAX_VALUE:
        raise PayloadError(f"{what} must be one line of at most {MAX_VALUE:,} characters, not {shown(text)}")
    return text


def variables(given: Mapping[str, str]) -> Mapping[str, str]:
    """Values by the names under which commands use them. Raises: PayloadError."""
    for key, text in given.items():
        if not _VARIABLE_NAME.fullmatch(key):
            raise PayloadError(f"variable {shown(key)} must be named in letters, digits and _")
        value(text, f"variable {key!r}")
    return given


def environment(given: Mapping[str, str]) -> Mapping[str, str]:
    """Environment variables by name; whether they are allowed is the operator's to say. Raises: PayloadError."""
    for key, text in given.items():
        if not _ENV.fullmatch(key):
            raise PayloadError(f"environment variable {shown(key)} must be named in upper case letters, digits and _")
        value(text, f"environment variable {key!r}")
    return given


def folder(path: str) -> str:
    """A folder inside the workspace. Raises: PayloadError."""
    return path if path == "." else _relative(path, "folder")


def pattern(path: str) -> str:
    """A pattern for files inside the workspace, such as `reports/**/*.xml`. Raises: PayloadError."""
    return _relative(path, "pattern")


def _relative(path: str, what: str) -> str:
    parts = path.split("/")
    if len(path) > 500 or len(parts) > 20 or any(
        part in ("", ".", "..") or part.startswith(("-", "~")) or not _PATH_PART.fullmatch(part) for part in parts
    ):  # fmt: skip
        raise PayloadError(f"{what} must be a path inside of the workspace, without '.' and '..', not {shown(path)}")
    return path


def ref(text: str) -> str:
    """A branch, tag or commit. Raises: PayloadError."""
    bad = (".." in text, "//" in text, text.endswith(("/", ".", ".lock")), "/." in text, "/-" in text)
    if not _REF.fullmatch(text) or any(bad):
        raise PayloadError(f"ref must be a branch, tag or commit, not {shown(text)}")
    return text


def git_url(url: str, hosts: Collection[str]) -> str:
    """A repository at one of these hosts, over https or ssh. Raises: PayloadError."""
    scp = _SCP.fullmatch(url)
    host, plain = _parts(url) if scp is None else (scp[1], "::" not in url and ".." not in url)
    if host is None or not plain:
        raise PayloadError(
            f"repository must be https://host/path, ssh://user@host/path or user@host:path, not {shown(url)}"
        )
    if host not in hosts:
        known = ", ".join(sorted(hosts)) or "none"
        raise PayloadError(f"repository host {shown(host)} is not allowed: PIPELINE_GIT_HOSTS names {known}")
    return url


def _parts(url: str) -> tuple[str | None, bool]:
    """The host of a URL, and whether there is nothing in it that does not belong there."""
    if _CONTROLS.search(url) or not url.startswith(("https://", "ssh://")) or len(url) > 500:
        return None, False
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        return None, False
    user = split.username or ""
    plain = (
        bool(_GIT_PATH.fullmatch(split.path)) and ".." not in split.path and not split.query and not split.fragment
        and split.password is None and (not user or (split.scheme == "ssh" and user.isalnum()))
        and port in (None, 22, 443) and not (host or "-").startswith("-")
    )  # fmt: skip
    return host, plain


# -- variables ---------------------------------------------------------------------------------------------------------


def used(texts: Sequence[str]) -> set[str]:
    """The variables that texts speak of, as `${name}`."""
    return {found for text in texts for found in _VARIABLE.findall(text)}


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables' values in it. Raises: PayloadError: one is not known."""
    return _VARIABLE.sub(lambda found: _look_up(found[1], values), text)


def fill_command(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A command with its variables' values in it, each in the one argument where it stands.

    Raises:
        PayloadError: a variable that is not known, one in the place of the program, or a value that would be read as an
            option: one that begins with - may only stand behind `--`, or behind other characters of its argument.
    """
    if used(argv[:1]):
        raise PayloadError("a command's program cannot be a variable")
    filled = list(argv[:1])
    for template in argv[1:]:
        text = fill(template, values)
        if template.startswith("${") and text.startswith("-") and _VARIABLE.match(template) and "--" not in filled:
            raise PayloadError(f"{template} begins with '-' and would be an option: put '--' before it")
        filled.append(argument(text))
    return filled


def _look_up(key: str, values: Mapping[str, str]) -> str:
    if key not in values:
        raise PayloadError(f"variable {key!r} is not known; there are {', '.join(sorted(values)) or 'none'}")
    return values[key]
