"""Fixtures of the platforms' own tests: `platform_url` is a fresh store on each engine."""

import pytest

from tests.conftest import logging_as_before, redis_url
from tests.platforms import bare_environment, platform_url

__all__ = ["bare_environment", "logging_as_before", "nobody_s_settings", "platform_url", "redis_url"]


@pytest.fixture(autouse=True)
def nobody_s_settings(bare_environment: None) -> None:
    """A platform's settings come from its test alone."""
