"""Tokens and signatures. Secrets are compared in constant time and stored only as hashes."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from core import clock
from core.configuration import InvalidSettings
from core.errors import Unauthenticated

ACCESS_ISSUER = "nudge"
SIGNATURE_BYTES = 16


def new_secret() -> str:
    """A new opaque, URL-safe token of 256 random bits."""
    return secrets.token_urlsafe(32)


def fingerprint(secret: str) -> bytes:
    """The hash of an opaque token, for storage: SHA-256 is enough, because the token is random."""
    return hashlib.sha256(secret.encode()).digest()


def equal_secrets(left: str, right: str) -> bool:
    """Whether two texts are equal, compared in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """The claims of a verified access token of ours. `expires_at` is in Unix seconds."""

    user_id: UUID
    organization_id: UUID
    session_id: UUID
    expires_at: int


class AccessTokens:
    """Issues and verifies our own access tokens (JWT, ES256), and provides the public key as a JWKS."""

    def __init__(self, private_key_pem: str, *, audience: str, lifetime_seconds: int) -> None:
        try:
            key = load_pem_private_key(private_key_pem.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise InvalidSettings(f"NUDGE_AUTH__SIGNING_KEY: not a readable private key ({error}).") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise InvalidSettings("NUDGE_AUTH__SIGNING_KEY: must be an EC P-256 private key in PEM.")
        self.key = key
        self.audience = audience
        self.lifetime_seconds = lifetime_seconds
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        thumbprint = hashlib.sha256(f"{public['x']}.{public['y']}".encode()).digest()[:12]
        self.key_id = urlsafe_b64encode(thumbprint).decode()
        self.jwks: dict[str, list[dict[str, Any]]] = {
            "keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "ES256"}]
        }

    def issue(self, *, user_id: UUID, organization_id: UUID, session_id: UUID) -> str:
        """A signed access token that expires after `lifetime_seconds`."""
        issued = int(clock.now().timestamp())
        claims = {
            "iss": ACCESS_ISSUER,
            "aud": self.audience,
            "sub": str(user_id),
            "org": str(organization_id),
            "session_id": str(session_id),
            "iat": issued,
            "exp": issued + self.lifetime_seconds,
        }
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.key_id})

    def verify(self, token: str) -> AccessClaims:
        """The claims of an access token of ours; raises `Unauthenticated` if it is invalid or has expired."""
        try:
            claims = jwt.decode(
                token,
                self.key.public_key(),
                algorithms=["ES256"],
                audience=self.audience,
                issuer=ACCESS_ISSUER,
                options={"require": ["exp", "iat", "sub", "org", "session_id"]},
            )
            return AccessClaims(
                user_id=UUID(claims["sub"]),
                organization_id=UUID(claims["org"]),
                session_id=UUID(claims["session_id"]),
                expires_at=int(claims["exp"]),
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired; use refreshSession for a new one.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise Unauthenticated("The access token is not valid.") from None


def new_signing_key() -> str:
    """A new EC P-256 private key in PEM, for development and for `nudge secrets`."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Signer:
    """Signs small values for links that work without a log-in, with one key for each purpose."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        self.key = hmac.digest(secret_key.encode(), purpose.encode(), "sha256")

    def sign(self, value: bytes) -> str:
        """A URL-safe token of the value and a 128-bit HMAC."""
        signature = hmac.digest(self.key, value, "sha256")[:SIGNATURE_BYTES]
        return urlsafe_b64encode(value + signature).rstrip(b"=").decode()

    def verify(self, token: str) -> bytes | None:
        """The value of a token that `sign` has made for this purpose, or None."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (Base64Error, ValueError):
            return None
        value, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        expected = hmac.digest(self.key, value, "sha256")[:SIGNATURE_BYTES]
        return value if hmac.compare_digest(signature, expected) else None
