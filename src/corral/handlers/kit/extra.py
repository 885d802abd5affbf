"""Whether the packages of an extra are installed."""

from importlib.util import find_spec

from corral.errors import ConfigError


def need(extra: str, *packages: str) -> None:
    """Raise ConfigError, which names the extra, unless every one of its packages can be imported."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"these handlers need an extra: pip install 'corral[{extra}]' (missing: {', '.join(missing)})", key=extra
        )
