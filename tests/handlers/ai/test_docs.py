"""The page about AI: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices

from corral.handlers.ai import (
    JOBS,
    AiSettings,
    Completion,
    GenerateCompletion,
    GenerateEmbeddings,
    Question,
    Said,
    bundle,
)
from corral.handlers.kit.database import Database
from corral.testing import run_job

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "ai.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def words(title: str, pattern: str) -> set[str]:
    """What stands in the first cells of a section's tables."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {word for cell in cells for word in re.findall(f"`({pattern})`", cell)}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    exec(compile(example, "ai.md", "exec"), {"__name__": "example"})


async def test_the_parrot_answers(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLES[-1], "ai.md", "exec"), names)
    parrot = names["Parrot"]
    assert callable(parrot)
    question = Question(messages=(Said("user", "two words"),), model="any", max_tokens=9, temperature=0)
    said = await parrot().complete(question)
    assert said == Completion(content="two words", model="parrot", prompt_tokens=2, completion_tokens=0)
    async with Database(f"sqlite:///{tmp_path / 'app.db'}") as database:
        jobs = {job.name: job for job in bundle(AiSettings.load(), database=database, model=parrot())}
        result = await run_job(jobs["generate-embeddings"], {"texts": ["ab"]})
    assert (result["stored"], result["dimensions"]) == (1, 2)


def test_every_setting_is_in_the_table() -> None:
    known = set()
    for name, field in AiSettings.model_fields.items():
        alias = field.validation_alias
        known |= set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {name.upper()}
    assert words("Settings", "[A-Z_]+") == known


def test_every_field_is_in_the_tables() -> None:
    fields = [*GenerateCompletion.model_fields.values(), *GenerateEmbeddings.model_fields.values()]
    assert words("The payloads", r"\w+") == {str(field.alias) for field in fields}


def test_every_job_is_named() -> None:
    sentence = PAGE.split("The jobs are ")[1].split(" on the queue")[0]
    assert tuple(re.findall(r"`([^`]+)`", sentence)) == JOBS
