"""The pages about the handlers, as tests read them."""

import re
from pathlib import Path

from pydantic_settings import BaseSettings


class Page:
    """A page of docs/handlers."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}.md"
        folder = Path(__file__).resolve().parents[2] / "docs" / "handlers"
        self.text = (folder / self.name).read_text(encoding="utf-8")
        self.examples: list[str] = re.findall(r"```python\n(.*?)```", self.text, flags=re.DOTALL)

    def run(self) -> dict[str, object]:
        """Run the examples one after the other, as somebody does who types them in; answers their names."""
        names: dict[str, object] = {"__name__": "example"}
        for example in self.examples:
            exec(compile(example, self.name, "exec"), names)
        return names

    def section(self, title: str) -> str:
        """A section's text."""
        return self.text.split(f"\n## {title}\n")[1].split("\n## ")[0]

    def cells(self, title: str, column: int = 0) -> set[str]:
        """The words in backquotes that stand in a column of a section's tables."""
        lines = [line for line in self.section(title).splitlines() if line.startswith("|")]
        return {word for line in lines for word in re.findall(r"`([^`]+)`", line.strip("|").split("|")[column])}

    def jobs(self) -> tuple[str, ...]:
        """The jobs that it names, in order."""
        return tuple(re.findall(r"`([^`]+)`", self.text.split("The jobs are ")[1].split(" on the queue")[0]))


def variables(settings: type[BaseSettings]) -> set[str]:
    """The environment variables of a family's settings."""
    return {name.upper() for name in settings.model_fields}
