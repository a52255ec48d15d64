"""Settings of sign-up and log-in, and the keys that sign tokens and links."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from core.configuration import Group
from core.setting_types import LongSecret, SigningKey, upper


class SignUpMode(StrEnum):
    """Whether `signUp` may create organizations."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class AuthSettings(Group):
    signing_key: SigningKey | None = Field(None, description="EC P-256 private key (PEM) for access tokens.")
    access_token_seconds: int = Field(900, ge=1, description="Life of an access token.")
    refresh_token_days: int = Field(30, ge=1, description="Life of a refresh token.")
    issuer: str | None = Field(None, description="Set to take Supabase-style tokens of this issuer instead.")
    jwks_url: str | None = Field(None, description="Where the issuer's keys are; the well-known path if unset.")
    audience: str = Field("authenticated", description="The `aud` an access token must carry.")
    shared_secret: SecretStr | None = Field(
        None, description="The issuer's HS256 secret, where it signs with one instead of a key pair.", min_length=32
    )
    sign_up: Annotated[SignUpMode | None, BeforeValidator(upper)] = Field(
        None,
        description=(
            "OPEN lets anybody open an organization, CLOSED only `nudge organization create`: "
            "CLOSED in production, else OPEN."
        ),
    )
    sign_ups_per_client: int | None = Field(
        None, ge=1, description="Sign-ups of one client in an hour: 10 in production, else 100,000."
    )
    sign_ups_per_hour: int | None = Field(
        None, ge=1, description="Sign-ups of all clients in an hour: 200 in production, else 100,000."
    )
    failed_logins: int = Field(10, ge=1, description="Failed log-ins of an address and client in five minutes.")
    failed_logins_per_client: int | None = Field(
        None, ge=1, description="Failed log-ins of one client in five minutes: 30 in production, else 10,000."
    )


class SecuritySettings(Group):
    secret_key: LongSecret | None = Field(None, description="At least 32 characters: signs unsubscribe links.")
