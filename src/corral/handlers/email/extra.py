"""Whether the e-mail handler's extra is installed."""

from importlib.util import find_spec

from corral.errors import ConfigError

_PACKAGES = ("aiosmtplib", "css_inline", "email_validator", "httpx2", "jinja2")


def need() -> None:
    """Raise ConfigError unless everything the extra brings is there."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the e-mail handler needs its extra: pip install 'corral[email]' (missing: {', '.join(missing)})",
            key="email",
        )
