"""How long it takes to start, and how much memory an idle worker holds."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Numbers

_IMPORT = "import time; t = time.perf_counter(); from corral import Corral; print(time.perf_counter() - t)"


def start(folder: str, times: int) -> Numbers:
    """Milliseconds to import the application class, and of the whole command `corral --help`."""
    imports, helps = [], []
    for _ in range(times):
        answer = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
        imports.append(float(answer.stdout) * 1000)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "corral.cli", "--help"], capture_output=True, check=True)
        helps.append((time.perf_counter() - began) * 1000)
    return {"import_ms": statistics.median(imports), "help_ms": statistics.median(helps)}


def idle(folder: str, seconds: float) -> Numbers:
    """Resident memory and processor use of `corral worker` with nothing to do."""
    Path(folder, "idle_app.py").write_text(
        f'from corral import Corral\n\napp = Corral("sqlite:///{folder}/corral.db")\nmail = app.queue("mail")\n\n\n'
        '@mail.job("noop")\nasync def noop() -> None:\n    pass\n'
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "corral.cli", "worker", "idle_app:app"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert worker.stdout is not None
    said = ""
    while "now running" not in said:
        line = worker.stdout.readline()
        said += line
        if not line:
            raise SystemExit(f"the worker did not start:\n{said}")
    time.sleep(1.0)
    before = _ticks(worker.pid)
    time.sleep(seconds)
    spent = _ticks(worker.pid) - before
    memory = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    assert memory is not None
    worker.terminate()
    worker.communicate(timeout=30)
    return {"rss_mb": int(memory[1]) / 1024, "cpu_percent": spent / seconds}


def _ticks(pid: int) -> int:
    """Processor time in hundredths of a second (USER_HZ is 100 on every Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
