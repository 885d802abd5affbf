"""The folder of Lua: each script says what it must of itself, what it asks for exists, and it leaves nothing behind."""

import re
from itertools import groupby

import pytest

from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from tests.redis.bytecode import Globals, globals_of
from tests.redis.test_scripts import LUA, NAMES

SCRIPTS = {f"{name}.lua": (LUA / f"{name}.lua").read_text() for name in NAMES}
LIBRARY = {f"lib/{path.name}": path.read_text() for path in sorted((LUA / "lib").iterdir(), key=lambda path: path.name)}
FILES = SCRIPTS | LIBRARY
#: What a script says of itself, in this order.
CONTRACT = ["Keys", "Request", "Reply", "Events", "BullMQ"]
LONGEST_FILE = 500
LONGEST_FUNCTION = 60
#: All that scripts may use of what servers offer. What is not here is a slip of the pen, or differs between servers.
WORLD = {
    "ARGV", "KEYS", "cjson", "cmsgpack", "error", "ipairs", "math", "next", "pairs", "pcall", "rawget", "rawset",
    "redis", "select", "setmetatable", "string", "table", "tonumber", "tostring", "type", "unpack",
}  # fmt: skip


def header(text: str) -> list[str]:
    """The lines of comment that a file begins with."""
    lines = text.splitlines()
    return lines[: next(n for n, line in enumerate(lines) if not line.startswith("--") or line.startswith("--!"))]


def includes(text: str) -> list[str]:
    return re.findall(r"^ *--! include (\S+)$", text, re.MULTILINE)


def functions(text: str) -> list[int]:
    """How many lines each function has that is not inside another one."""
    inside = 0
    lengths = []
    for line in text.splitlines():
        if re.match(r"(local )?function |\w[\w.]* = function\b", line):
            inside = 1
        elif inside:
            inside += 1
        if inside and (line == "end" or (inside == 1 and re.search(r"\bend$", line))):
            lengths.append(inside)
            inside = 0
    assert inside == 0, "a function that does not end at the margin"
    return lengths


async def globals_in(server: Server, text: str) -> Globals:
    [dump] = await server.commands(("EVAL", "return string.dump(loadstring(ARGV[1]))", 0, text))
    assert isinstance(dump, bytes)
    return globals_of(dump)


@pytest.mark.parametrize("path", FILES)
def test_each_file_begins_with_its_name_and_what_it_does(path: str) -> None:
    assert re.match(rf"-- {re.escape(path)} - \S.{{10,}}", FILES[path])


@pytest.mark.parametrize("path", SCRIPTS)
def test_each_script_tells_its_keys_request_reply_events_and_what_bullmq_does(path: str) -> None:
    told = [match[1] for line in header(SCRIPTS[path]) if (match := re.match(r"-- ([A-Z]\w+)\s+\S", line))]
    assert [word for word, _ in groupby(told) if word in CONTRACT] == CONTRACT


@pytest.mark.parametrize("path", FILES)
def test_what_is_included_exists(path: str) -> None:
    assert [name for name in includes(FILES[path]) if name not in LIBRARY] == []


@pytest.mark.parametrize("path", LIBRARY)
def test_each_library_file_is_included_somewhere(path: str) -> None:
    assert [name for name in FILES if path in includes(FILES[name])]


@pytest.mark.parametrize("path", FILES)
def test_files_and_functions_fit_the_eye(path: str) -> None:
    lines = FILES[path].splitlines()
    assert len(lines) <= LONGEST_FILE
    assert max((len(line) for line in lines), default=0) <= 140
    assert max(functions(FILES[path]), default=0) <= LONGEST_FUNCTION


@pytest.mark.parametrize("name", NAMES)
async def test_scripts_write_no_globals_and_read_only_those_there_are(server: Server, name: str) -> None:
    found = await globals_in(server, script(name).plain_text)
    assert (found.written, found.read - WORLD) == (frozenset(), frozenset())


async def test_globals_are_seen_wherever_they_stand(server: Server) -> None:
    text = "local a, t = 1, {}\nfunction t.f() return function() b = a + c end end\nd = 2\nreturn t.g, -1.5, true, nil"
    assert await globals_in(server, text) == Globals(read=frozenset("c"), written=frozenset("bd"))


def test_long_functions_are_measured() -> None:
    text = "local function a(b) return b end\n\nlocal c = {}\nf = function(x)\n  if x then\n    y()\n  end\nend\n"
    assert functions(text) == [1, 5]
