"""The page about the application's database: its example runs."""

import re
from pathlib import Path

from corral import Corral

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "app-database.md").read_text(encoding="utf-8")


async def test_the_example_keeps_a_note(tmp_path: Path) -> None:
    files = {
        block.partition("\n")[0].removeprefix("# "): block
        for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    }
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations/versions/v0001_notes.py").write_text(files["migrations/versions/v0001_notes.py"])
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(files["jobs.py"], "jobs.py", "exec"), names)
    app = names["app"]
    assert isinstance(app, Corral)

    async with app, await app.worker():
        handle = await app.definition("notes", "keep").add("a")
        assert await handle.result(timeout=30) == 1
    assert sorted(files) == ["jobs.py", "migrations/versions/v0001_notes.py"]
