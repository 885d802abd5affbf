"""Fixtures of the suites about examples: `platform_url` is a fresh store on each engine."""

from tests.platforms import bare_environment, platform_url

__all__ = ["bare_environment", "platform_url"]
