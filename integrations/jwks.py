"""Verifying access tokens of an external issuer (Supabase's Auth, or any OpenID provider) with its published keys.

Rules: RFC 8725 (an algorithm belongs to a key, never to the token), RFC 7517 (key sets).
"""

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import aiohttp
import jwt
from jwt import PyJWK, PyJWKSet

from core.errors import Unauthenticated
from core.telemetry import describe_error, logger

_ALGORITHMS = {"RSA": ("RS256", "RS384", "RS512"), "EC": ("ES256", "ES384", "ES512"), "OKP": ("EdDSA",)}
_MAX_SET_BYTES = 262_144
log = logger(__name__)


class JwksVerifier:
    """Verifies tokens of one issuer. Its keys are fetched on first use and for an unknown key id, and cached.

    If a fetch fails, the keys of the last one stay in use. There are at least `min_interval` seconds between two
    fetches, so that tokens with random key ids do not cause a request each.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str,
        url: str | None = None,
        shared_secret: str | None = None,
        min_interval: float = 30.0,
        timeout: float = 5.0,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.url = url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        self.shared_secret = shared_secret
        self.min_interval = min_interval
        self.timeout = timeout
        self.keys: dict[str, PyJWK] = {}
        self.next_fetch = 0.0
        self.lock = asyncio.Lock()
        self.session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.session is not None:
            await self.session.close()

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token with a good signature, `iss`, `aud` and `exp`; raises `Unauthenticated`."""
        try:
            header = jwt.get_unverified_header(token)
            if self.shared_secret is not None and header.get("alg") == "HS256":
                return self.decode(token, self.shared_secret, ("HS256",))
            key = await self.key(str(header.get("kid", "")))
            return self.decode(token, key.key, allowed(key))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired; get a new one from its issuer.") from None
        except jwt.PyJWTError:
            raise Unauthenticated("The access token is not valid.") from None

    def decode(self, token: str, key: Any, algorithms: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401 - as PyJWT takes keys
        """The token's claims, checked; raises PyJWT's errors."""
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=self.audience,
            issuer=self.issuer,
            options={"require": ["exp", "sub", "iss", "aud"]},
        )
        return claims

    async def key(self, key_id: str) -> PyJWK:
        """The issuer's key with the id, fetched if it is unknown; raises `Unauthenticated`."""
        if key_id not in self.keys:
            async with self.lock:
                if key_id not in self.keys and time.monotonic() >= self.next_fetch:
                    await self.fetch()
        if key_id not in self.keys:
            raise Unauthenticated("The access token is not valid: its key is not among the issuer's.")
        return self.keys[key_id]

    async def fetch(self) -> None:
        """Replace the keys by the published ones; after an error the old ones stay."""
        self.next_fetch = time.monotonic() + self.min_interval
        if self.session is None:
            raise AssertionError("use the verifier as a context manager")
        try:
            async with self.session.get(self.url, allow_redirects=False) as response:
                response.raise_for_status()
                document = await response.content.read(_MAX_SET_BYTES)
            keys = PyJWKSet.from_json(document.decode()).keys
        except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as error:
            log.warning(
                "issuer's keys not fetched; using the last ones",
                url=self.url,
                error=describe_error(error),
            )
            return
        self.keys = {key.key_id: key for key in keys if key.key_id is not None and key.key_type in _ALGORITHMS}


def allowed(key: PyJWK) -> tuple[str, ...]:
    """The algorithms of a key: the one that it names, if that is allowed for its type."""
    possible = _ALGORITHMS[str(key.key_type)]
    return (key.algorithm_name,) if key.algorithm_name in possible else ()
