"""Settings of the data sync: whose keys open which platform, where each one is, and how much is fetched at a time."""

from typing import ClassVar

from pydantic import AliasChoices, Field, SecretStr

from corral.handlers.kit.settings import FamilySettings


class SyncSettings(FamilySettings):
    """One set of keys per platform, for those who have one account there. Others keep theirs with each integration."""

    table: ClassVar[str] = "sync"

    #: Opens the credentials that are kept with the integrations; several, separated by commas: the first one seals.
    sync_keys: SecretStr | None = None
    sync_page_size: int | None = Field(default=None, ge=1, le=10_000)  #: objects in one request; each platform's own
    sync_turn: float = Field(default=240.0, gt=0, le=3_600)  #: seconds after which a long sync gives up its slot
    sync_history_days: int = Field(default=365, ge=1, le=3_650)  #: how far back the first sync of daily figures goes

    shopify_shop: str | None = None  #: `name.myshopify.com`
    shopify_access_token: SecretStr | None = None
    shopify_api_version: str = "2026-10"
    shopify_url: str | None = None  #: another place of the API, for every shop

    woocommerce_site: str | None = None  #: `https://shop.example`
    woocommerce_key: SecretStr | None = None
    woocommerce_secret: SecretStr | None = None
    woocommerce_url: str | None = None  #: another place of the shop, such as one in your own network

    stripe_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("STRIPE_API_KEY", "STRIPE_SECRET_KEY")
    )
    stripe_account: str | None = None  #: a connected account
    stripe_api_version: str = "2025-09-30.clover"
    stripe_url: str | None = None

    google_analytics_property: str | None = None  #: digits
    google_analytics_credentials: SecretStr | None = None  #: the service account's JSON, or the path of its file
    google_analytics_url: str | None = None

    facebook_ad_account: str | None = None  #: `act_` and digits
    facebook_access_token: SecretStr | None = None
    facebook_api_version: str = "v24.0"
    facebook_url: str | None = None
