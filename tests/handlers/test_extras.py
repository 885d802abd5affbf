"""Without what its extra brings, a family says so when it is imported, and which extra that is."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("family", "extra", "package"),
    [
        ("alerts", "webhooks", "httpx2"),
        ("checkins", "db", "sqlalchemy"),
        ("metrics", "db", "aiosqlite"),
        ("notifications", "notify", "apprise"),
        ("slack", "slack", "slack_sdk"),
    ],
)
def test_a_family_without_its_extra_names_it(family: str, extra: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from corral import ConfigError\n"
        f"try:\n    import corral.handlers.{family}\nexcept ConfigError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == (f"these handlers need an extra: pip install 'corral[{extra}]' (missing: {package})\n")
