"""The page about pipelines: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from corral.app.app import Corral
from corral.handlers.pipelines import Deploy, HealthCheck, PipelineSettings, RunPipeline, RunTests, Step

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "pipelines.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def words(text: str) -> set[str]:
    return {word for found in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[A-Za-z]+", found)}


def fields(model: type[BaseModel]) -> set[str]:
    return {str(field.alias) for field in model.model_fields.values()}


async def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for example in EXAMPLES:
        exec(compile(example, "pipelines.md", "exec"), names)
    app, build, ship = names["app"], names["build"], names["ship"]
    assert isinstance(app, Corral)
    assert callable(build)
    assert callable(ship)

    async with app, await app.worker():
        await build()
        await ship()

    assert capsys.readouterr().out.split() == ["passed", "deployed"]


def test_every_setting_is_in_the_table() -> None:
    rows = [line for line in section("Settings").splitlines() if line.startswith("| `PIPELINE_")]

    assert [row.split("`")[1] for row in rows] == [name.upper() for name in PipelineSettings.model_fields]


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Pipelines", RunPipeline),
        ("Pipelines", Step),
        ("Test suites", RunTests),
        ("Deployments", Deploy),
        ("Deployments", HealthCheck),
    ],
)
def test_every_field_of_a_payload_is_named(title: str, model: type[BaseModel]) -> None:
    assert fields(model) - words(section(title)) == set()


@pytest.mark.parametrize(
    "name", ["timeout", "max_timeout", "max_output", "max_log", "max_artifacts", "keep_workspaces"]
)
def test_every_default_is_the_settings_own(name: str) -> None:
    [row] = [line for line in section("Settings").splitlines() if line.startswith(f"| `PIPELINE_{name.upper()}`")]

    default = float(row.rpartition(" | ")[2].strip(" |").replace(",", ""))
    assert default == getattr(PipelineSettings(), f"pipeline_{name}")
