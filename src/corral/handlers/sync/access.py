"""Where an integration's data are, and the keys that open them: its own, sealed, or those of the settings."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.sync.connector import Access, zone
from corral.handlers.sync.settings import SyncSettings


class _Needs(NamedTuple):
    """Of one platform: names as integrations have them, with the settings that stand in for them."""

    target: dict[str, str]
    secrets: dict[str, str]
    optional: frozenset[str] = frozenset()


NEEDS = {
    "shopify": _Needs({"shop": "shopify_shop"}, {"accessToken": "shopify_access_token"}),
    "woocommerce": _Needs(
        {"site": "woocommerce_site"}, {"key": "woocommerce_key", "secret": "woocommerce_secret"}
    ),
    "stripe": _Needs({"account": "stripe_account"}, {"apiKey": "stripe_api_key"}, frozenset({"account"})),
    "google-analytics": _Needs(
        {"property": "google_analytics_property"}, {"credentials": "google_analytics_credentials"}
    ),
    "facebook-ads": _Needs({"adAccount": "facebook_ad_account"}, {"accessToken": "facebook_access_token"}),
}  # fmt: skip
#: Of an integration's config, beside where its data are.
_COMMON = frozenset({"timezone"})


class Vault:
    """Seals what opens somebody's shop, so that it does not lie open in the database.

    Raises:
        ConfigError: keys that are none.
    """

    def __init__(self, settings: SyncSettings) -> None:
        text = "" if settings.sync_keys is None else settings.sync_keys.get_secret_value()
        try:
            keys = [Fernet(one.strip()) for one in text.split(",") if one.strip()]
        except ValueError:
            raise ConfigError("SYNC_KEYS must be Fernet keys (32 bytes, base64), separated by commas",
                              key="sync_keys") from None  # fmt: skip
        self._fernet = MultiFernet(keys) if keys else None

    def __repr__(self) -> str:
        return f"<Vault {'with' if self._fernet else 'without'} keys>"

    def seal(self, credentials: Mapping[str, str]) -> str:
        """Credentials as they are kept. Raises: ConfigError without keys."""
        if self._fernet is None:
            raise ConfigError("credentials are kept sealed only: set SYNC_KEYS", key="sync_keys")
        return self._fernet.encrypt(json.dumps(dict(credentials)).encode()).decode()

    def open(self, sealed: str) -> dict[str, SecretStr]:
        """What was sealed. Raises: ConfigError when none of the keys opens it."""
        if self._fernet is None:
            raise ConfigError("this integration's credentials are sealed: set SYNC_KEYS", key="sync_keys")
        try:
            found = json.loads(self._fernet.decrypt(sealed))
        except (InvalidToken, ValueError):
            raise ConfigError("none of SYNC_KEYS opens this integration's credentials", key="sync_keys") from None
        return {name: SecretStr(value) for name, value in found.items()}


def check_config(platform: str, config: Mapping[str, str], credentials: Iterable[str] = ()) -> None:
    """See whether a platform knows these names.

    Raises:
        ConfigError: an unknown platform, a name it has no use for, or one that is missing.
    """
    needs = needs_of(platform)
    for given, known, what in (
        (set(config), set(needs.target) | _COMMON, "config"),
        (set(credentials), set(needs.secrets), "credentials"),
    ):
        if given - known:
            raise ConfigError(
                f"{what} of {platform} may have {', '.join(sorted(known))}, not {', '.join(sorted(given - known))}",
                key=what,
            )
    if "timezone" in config:
        zone(config["timezone"])


def needs_of(platform: str) -> _Needs:
    """What a platform needs. Raises: ConfigError."""
    if platform not in NEEDS:
        raise ConfigError(f"platform {platform!r} is not known: {', '.join(NEEDS)}", key="platform")
    return NEEDS[platform]


def access_to(platform: str, config: Mapping[str, str], sealed: str | None, settings: SyncSettings, vault: Vault) -> (
    Access
):  # fmt: skip
    """Where to go, with which keys.

    Both come from the integration, or both from the settings: the operator's keys go to nobody else's shop.

    Raises:
        ConfigError: something is missing; the message says where to put it.
    """
    needs = needs_of(platform)
    time_zone = zone(config.get("timezone", "UTC"))
    wanted = {name: field for name, field in (needs.target | needs.secrets).items() if name not in needs.optional}
    own = {name: value for name, value in config.items() if name in needs.target and value}
    if sealed is not None:
        secrets = vault.open(sealed)
        _complete(platform, {name: f"the integration's {name}" for name in wanted}, {*own, *secrets})
        return Access(target=own, secrets=secrets, time_zone=time_zone)
    target = {name: str(getattr(settings, field) or "") for name, field in needs.target.items()}
    target = {name: value for name, value in target.items() if value}
    found = {name: getattr(settings, field) for name, field in needs.secrets.items()}
    kept = {name: value for name, value in found.items() if isinstance(value, SecretStr)}
    _complete(platform, {name: field.upper() for name, field in wanted.items()}, {*target, *own, *kept})
    if any(target.get(name) not in (None, value) for name, value in own.items()) or set(own) - set(target):
        raise ConfigError(
            f"the integration names its own {', '.join(own)} and has no credentials: save it with credentials",
            key="credentials",
        )
    return Access(target=target, secrets=kept, time_zone=time_zone)


def _complete(platform: str, labels: Mapping[str, str], found: Iterable[str]) -> None:
    missing = [label for name, label in labels.items() if name not in set(found)]
    if missing:
        raise ConfigError(f"{platform} needs {' and '.join(missing)}", key=missing[0])
