"""Reads what Lua 5.1 makes of a script, as `string.dump` tells it: enough to know which globals it reads and writes."""

import struct
from typing import NamedTuple

#: Numbers of the two instructions that name a global, and where in an instruction the name's number is.
GET_GLOBAL, SET_GLOBAL = 5, 7
OPERATION_BITS, CONSTANT_BITS = 6, 14
HEADER = 12
NIL, BOOLEAN, NUMBER, TEXT = 0, 1, 3, 4
SIZE_OF = {NIL: 0, BOOLEAN: 1, NUMBER: 8}


class Globals(NamedTuple):
    """The names that a script, or a function in it, takes from the world of all scripts, or puts into it."""

    read: frozenset[str]
    written: frozenset[str]


def globals_of(dump: bytes) -> Globals:
    """The globals of a whole dumped script."""
    assert dump[:6] == b"\x1bLua\x51\x00", "not a dump of Lua 5.1"
    assert dump[6:HEADER] == b"\x01\x04\x08\x04\x08\x00", "a dump of some other kind of machine"
    read: set[str] = set()
    written: set[str] = set()
    _Reader(dump).function(read, written)
    return Globals(frozenset(read), frozenset(written))


class _Reader:
    def __init__(self, dump: bytes) -> None:
        self._dump = dump
        self._at = HEADER

    def function(self, read: set[str], written: set[str]) -> None:
        self._text()  # where it was written
        self._take(4 + 4 + 4)  # first line, last line; how many outer variables, parameters, registers
        code = [self._number() for _ in range(self._number())]
        constants = [self._constant() for _ in range(self._number())]
        for instruction in code:
            operation = instruction & ((1 << OPERATION_BITS) - 1)
            if operation in (GET_GLOBAL, SET_GLOBAL):
                name = constants[instruction >> CONSTANT_BITS]
                (read if operation == GET_GLOBAL else written).add(name)
        for _ in range(self._number()):
            self.function(read, written)
        self._names_for_debuggers()

    def _names_for_debuggers(self) -> None:
        self._take(4 * self._number())  # the line of each instruction
        for _ in range(self._number()):  # local variables, and from where to where they live
            self._text()
            self._take(4 + 4)
        for _ in range(self._number()):  # outer variables
            self._text()

    def _constant(self) -> str:
        """A constant as text; only those that are text can be names."""
        [kind] = self._take(1)
        if kind == TEXT:
            return self._text()
        self._take(SIZE_OF[kind])
        return ""

    def _text(self) -> str:
        (size,) = struct.unpack("<Q", self._take(8))
        return self._take(size)[:-1].decode("latin-1")

    def _number(self) -> int:
        (number,) = struct.unpack("<I", self._take(4))
        return int(number)

    def _take(self, size: int) -> bytes:
        taken = self._dump[self._at : self._at + size]
        self._at += size
        return taken
