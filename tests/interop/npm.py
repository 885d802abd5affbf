"""Puts the npm packages of `package-lock.json` beside this file, once for all test processes.

`python -m tests.interop.npm` does it before the tests, so that none of them waits for a download.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
STAMP = HERE / "node_modules" / ".corral-installed"


def missing_program() -> str | None:
    """Which program the tests with Node lack, said as a reason to skip; None when all are there."""
    lacking = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} not installed: BullMQ itself cannot be tested against" if lacking else None


def install() -> None:
    """Run `npm ci` unless the packages of this very lock file are there.

    Raises:
        RuntimeError: npm failed; its output is in the message.
    """
    lock_file = HERE / "package-lock.json"
    wanted = lock_file.read_text()
    with (HERE / "package.json").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # every process of pytest-xdist comes here at once
        if STAMP.exists() and STAMP.read_text() == wanted:
            return
        # No install scripts: the one there is builds a native codec that has a JavaScript form too.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        environment = {**os.environ, "npm_config_update_notifier": "false"}
        ran = subprocess.run(
            command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if ran.returncode != 0:
            raise RuntimeError(f"npm ci failed ({ran.returncode}): {ran.stdout}{ran.stderr}")
        STAMP.write_text(wanted)


if __name__ == "__main__":
    print(missing_program() or "installing the npm packages of the interop tests")
    if missing_program() is None:
        install()
