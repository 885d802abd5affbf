"""The Lua scripts: loaded from `lua/`, their includes put in, comments taken out, hashed.

Lines that begin with `--!` are for this loader:

    --! include lib/keys.lua     that file's text, the first time it is asked for
    --! flags allow-oom          run even when memory is full, on the servers that can be told so (from 7.0)
    --! scope                    all that follows stands in a function of its own

A script defines its functions anew at each call, and each one that uses a local of the same function makes Lua search
a list of all such locals; those of a function further out are just copied. Two scopes halve what a settle spends on it
(38 µs to 19 of 130). A scope may use 60 of the locals before it; one that uses more does not load.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha1
from importlib.resources import files

from msgspec import Struct

from corral.errors import StorageError

_FLAGS = ("allow-oom", "allow-stale", "no-writes")
#: Before 7.0 memory is asked for by the first command that writes, not again: deleting what never exists needs none.
_FREEING = "redis.call('DEL', KEYS[2] .. 'op:')\n"
#: The first version that reads a `#!lua` line; for those before it the line is a syntax error.
SHEBANG = (7, 0)


class Script(Struct, frozen=True):
    """One script in the two spellings that servers understand. They are the same unless it has flags."""

    name: str
    text: str
    sha: str
    plain_text: str  #: for servers before 7.0
    plain_sha: str

    def __repr__(self) -> str:
        return f"Script({self.name!r})"

    def spoken(self, version: tuple[int, ...]) -> tuple[str, str]:
        """Text and hash for a server of this version."""
        return (self.text, self.sha) if version >= SHEBANG else (self.plain_text, self.plain_sha)


@cache
def script(name: str) -> Script:
    """The script `lua/<name>.lua`."""
    return build(name, _source(f"{name}.lua"), _source)


def build(name: str, source: str, include: Callable[[str], str]) -> Script:
    """A script of this source text; `include` gives the text of a file it names.

    Raises:
        StorageError: a directive that does not exist.
    """
    flags: list[str] = []
    seen: set[str] = set()
    lines: list[str] = []
    scopes = 0

    def expand(text: str) -> None:
        nonlocal scopes
        for line in text.splitlines():
            stripped = line.strip()
            if stripped.startswith("--!"):
                match stripped[3:].split():
                    case ["include", path]:
                        if path not in seen:
                            seen.add(path)
                            expand(include(path))
                    case ["scope"]:
                        lines.append("return (function()")
                        scopes += 1
                    case ["flags", *words] if words and set(words) <= set(_FLAGS):
                        flags.extend(word for word in words if word not in flags)
                    case _:
                        raise StorageError(f"script {name!r} has the unknown directive {stripped!r}")
            elif stripped and (not stripped.startswith("--") or stripped.startswith(("--[", "--]"))):
                lines.append(line.rstrip())

    expand(source)
    body = "\n".join(lines + ["end)()"] * scopes) + "\n"
    text = f"#!lua flags={','.join(flags)}\n{body}" if flags else body
    plain = _FREEING + body if "allow-oom" in flags else body
    return Script(name, text, _sha(text), plain, _sha(plain))


def _source(path: str) -> str:
    return (files("corral.storage.redis") / "lua" / path).read_text(encoding="utf-8")


def _sha(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()  # the server's own name for a script
