"""Settings of sign-up and log-in, and the keys that sign tokens and links."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from core.configuration import SettingsGroup
from core.setting_types import LongSecret, SigningKey, upper


class SignUpMode(StrEnum):
    """Whether `signUp` may create organizations."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class AuthSettings(SettingsGroup):
    signing_key: SigningKey | None = Field(None, description="EC P-256 private key (PEM) that signs access tokens.")
    access_token_seconds: int = Field(900, ge=1, description="Lifetime of an access token in seconds.")
    refresh_token_days: int = Field(30, ge=1, description="Lifetime of a refresh token in days.")
    issuer: str | None = Field(
        None,
        description=(
            "Issuer of external access tokens, as Supabase issues them. If set, the API issues no tokens of its own."
        ),
    )
    jwks_url: str | None = Field(
        None, description="URL of the issuer's public keys (JWKS). Defaults to the issuer's well-known path."
    )
    audience: str = Field("authenticated", description="Required `aud` claim of external access tokens.")
    shared_secret: SecretStr | None = Field(
        None,
        description="HS256 secret of the issuer, if it signs with a secret instead of a key pair.",
        min_length=32,
    )
    sign_up: Annotated[SignUpMode | None, BeforeValidator(upper)] = Field(
        None,
        description=(
            "OPEN: everyone can create an organization. CLOSED: only `nudge organization create` can. Defaults "
            "to CLOSED in production, otherwise OPEN."
        ),
    )
    sign_ups_per_client: int | None = Field(
        None,
        ge=1,
        description=(
            "Maximum sign-ups from one IP address in an hour. Defaults to 10 in production, otherwise 100,000."
        ),
    )
    sign_ups_per_hour: int | None = Field(
        None,
        ge=1,
        description=(
            "Maximum sign-ups in an hour, from all IP addresses. Defaults to 200 in production, otherwise 100,000."
        ),
    )
    failed_logins: int = Field(
        10, ge=1, description="Maximum failed log-ins for one e-mail address from one IP address in five minutes."
    )
    failed_logins_per_client: int | None = Field(
        None,
        ge=1,
        description=(
            "Maximum failed log-ins from one IP address in five minutes. Defaults to 30 in production, otherwise "
            "10,000."
        ),
    )


class SecuritySettings(SettingsGroup):
    secret_key: LongSecret | None = Field(
        None, description="Secret that signs unsubscribe links, at least 32 characters."
    )
