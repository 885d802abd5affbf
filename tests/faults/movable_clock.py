"""A server whose wall clock can be moved, for which `clock.c` is built and loaded into it."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.redis_server import server_program

_SOURCE = Path(__file__).with_name("clock.c")


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


class MovableClock:
    """`program` starts a server that looks at this clock."""

    def __init__(self, folder: Path) -> None:
        cc = compiler()
        if cc is None:
            raise RuntimeError("moving a server's clock needs a C compiler: apt install gcc, or leave this storm out")
        library, self._file = folder / "clock.so", folder / "clock"
        subprocess.run([cc, "-O2", "-shared", "-fPIC", "-o", library, _SOURCE], check=True, capture_output=True)
        self.set(0)
        script = folder / "server-with-clock"
        script.write_text(f'#!/bin/sh\nCORRAL_CLOCK={self._file} LD_PRELOAD={library} exec {server_program()} "$@"\n')
        script.chmod(0o755)
        self.program = str(script)

    def set(self, milliseconds: int) -> None:
        """Be so far ahead of the machine's clock, in one step."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, struct.pack("q", milliseconds), 0)
        finally:
            os.close(descriptor)
