"""Loading scripts: includes, flags, comments, and that the server calls each by the same name."""

from importlib.resources import files

import pytest

from corral.errors import StorageError
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import build, script

LUA = files("corral.storage.redis") / "lua"
NAMES = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir() if path.name.endswith(".lua"))


def test_includes_are_put_in_once_and_comments_are_left_out() -> None:
    library = {
        "a.lua": "--! include b.lua\nlocal a = b + 1\n",
        "b.lua": "-- what b is\n\nlocal b = 1 -- stays\n  -- indented comment\n",
    }
    one = build("x", "--! include a.lua\n--! include b.lua\nreturn a\n", library.__getitem__)
    assert one.text == "local b = 1 -- stays\nlocal a = b + 1\nreturn a\n"
    assert (one.plain_text, one.plain_sha) == (one.text, one.sha)


def test_a_long_comment_keeps_its_ends() -> None:
    assert build("x", "--[[ a\n--]]\nreturn 1", str).text == "--[[ a\n--]]\nreturn 1\n"


def test_flags_are_for_servers_that_read_them() -> None:
    one = build("x", "--! flags allow-oom\nreturn 1", str)
    assert one.text == "#!lua flags=allow-oom\nreturn 1\n"
    assert one.plain_text == "redis.call('DEL', KEYS[2] .. 'op:')\nreturn 1\n"
    assert one.spoken((7, 0, 0)) == (one.text, one.sha)
    assert one.spoken((6, 2, 14)) == (one.plain_text, one.plain_sha)
    quiet = build("x", "--! flags no-writes\nreturn 1", str)
    assert (quiet.text, quiet.plain_text) == ("#!lua flags=no-writes\nreturn 1\n", "return 1\n")


def test_what_follows_a_scope_is_a_function_of_its_own() -> None:
    one = build("x", "local a = 1\n--! scope\nlocal b = 2\n--! scope\nreturn a + b", str)
    body = "local a = 1\nreturn (function()\nlocal b = 2\nreturn (function()\nreturn a + b\nend)()\nend)()\n"
    assert (one.text, one.plain_text) == (body, body)


@pytest.mark.parametrize("line", ["--! inclde a.lua", "--! flags", "--! flags all", "--!"])
def test_an_unknown_directive_is_an_error(line: str) -> None:
    with pytest.raises(StorageError, match="unknown directive"):
        build("x", line, str)


@pytest.mark.parametrize("name", NAMES)
async def test_the_server_accepts_each_script_under_the_name_we_computed(server: Server, name: str) -> None:
    text, sha = script(name).spoken(server.version)
    assert await server.commands(("SCRIPT", "LOAD", text)) == [sha.encode()]
    assert await server.commands(("SCRIPT", "LOAD", script(name).plain_text)) == [script(name).plain_sha.encode()]
    assert script(name) is script(name)
