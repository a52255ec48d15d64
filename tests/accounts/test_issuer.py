"""Tokens of an external issuer (Supabase): signatures by its published keys, everything else from our tables."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from core.access.permissions import Role
from core.errors import Unauthenticated
from core.ids import new_id
from core.security import new_secret
from integrations.jwks import JwksVerifier
from runtime import Runtime, running
from tests import factories
from tests.client import ApiClient
from tests.graphql.probe import with_settings
from tests.serving import served

ISSUER = "https://project.supabase.example/auth/v1"
AUDIENCE = "authenticated"


ELSEWHERE = (
    'logIn(input: {email: "a@b.example", password: "x"}) { accessToken }',
    'signUp(input: {organizationName: "A", email: "a@b.example", password: "x", fullName: "A"}) { accessToken }',
    'refreshSession(input: {refreshToken: "x"}) { accessToken }',
    'logOut(input: {refreshToken: "x"}) { ended }',
    "logOut(input: {}) { ended }",
)
"""Mutations that are done at the issuer instead."""


@dataclass(slots=True)
class Issuer:
    """Publishes keys, counts the requests for them, and can respond with errors."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    fetches: int = 0
    broken: bool = False
    url: str = ""

    async def serve(self, _: web.Request) -> web.Response:
        """The key set."""
        self.fetches += 1
        return web.Response(status=500) if self.broken else web.json_response({"keys": self.keys})


@asynccontextmanager
async def publishing() -> AsyncIterator[Issuer]:
    """An issuer's HTTP server."""
    issuer = Issuer()
    application = web.Application()
    application.router.add_get("/jwks.json", issuer.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    try:
        yield issuer
    finally:
        await runner.cleanup()


def ec_key(key_id: str) -> tuple[ec.EllipticCurvePrivateKey, dict[str, Any]]:
    """A key and its public form."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return key, {**public, "kid": key_id, "alg": "ES256", "use": "sig"}


def sign_token(key: Any, key_id: str, algorithm: str = "ES256", **claims: object) -> str:  # noqa: ANN401 - as PyJWT takes keys
    """A token like those of Supabase."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(new_id()), "iat": now, "exp": now + 600}
    return jwt.encode({**usual, **claims}, key, algorithm=algorithm, headers={"kid": key_id})


async def test_keys_are_fetched_once_and_again_for_an_unknown_id() -> None:
    """Ten tokens cost one fetch; a rotated key costs one more; made-up ids cost none within the interval."""
    async with publishing() as issuer:
        (old, old_public), (new, new_public) = ec_key("old"), ec_key("new")
        issuer.keys = [old_public]
        async with JwksVerifier(ISSUER, audience=AUDIENCE, url=issuer.url, min_interval=0) as verifier:
            for _ in range(10):
                await verifier.verify(sign_token(old, "old"))
            assert issuer.fetches == 1
            issuer.keys = [old_public, new_public]
            await verifier.verify(sign_token(new, "new"))
            assert issuer.fetches == 2
            verifier.min_interval = 60
            for _ in range(5):
                with pytest.raises(Unauthenticated):
                    await verifier.verify(sign_token(new, "made-up"))
            assert issuer.fetches == 3


async def test_known_keys_work_while_the_issuer_is_unavailable() -> None:
    """The last fetched keys stay in use while the issuer responds with errors."""
    async with publishing() as issuer:
        key, public = ec_key("one")
        issuer.keys = [public]
        async with JwksVerifier(ISSUER, audience=AUDIENCE, url=issuer.url, min_interval=0) as verifier:
            await verifier.verify(sign_token(key, "one"))
            issuer.broken = True
            with pytest.raises(Unauthenticated):
                await verifier.verify(sign_token(key, "two"))
            await verifier.verify(sign_token(key, "one"))


async def test_the_algorithm_belongs_to_the_key() -> None:
    """A token cannot choose it: neither `none`, nor HMAC with the public key, nor another key type's algorithm."""
    async with publishing() as issuer:
        key, public = ec_key("one")
        other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        issuer.keys = [public, {"kty": "oct", "kid": "shared", "k": "c2VjcmV0" * 8, "alg": "HS256"}]
        async with JwksVerifier(ISSUER, audience=AUDIENCE, url=issuer.url) as verifier:
            forged = [
                jwt.encode({"sub": "x"}, "", algorithm="none", headers={"kid": "one"}),
                sign_token(str(public["x"]) * 2, "one", "HS256"),
                sign_token(other, "one", "RS256"),
                sign_token("secret" * 8, "shared", "HS256"),
                sign_token(ec_key("one")[0], "one"),
                "not.a.token",
            ]
            for token in forged:
                with pytest.raises(Unauthenticated):
                    await verifier.verify(token)
            assert (await verifier.verify(sign_token(key, "one")))["iss"] == ISSUER


@pytest.mark.parametrize(
    "claims", [{"iss": "https://evil.example"}, {"aud": "anon"}, {"exp": 1}, {"exp": None}, {"sub": None}], ids=str
)
async def test_claims_are_checked(claims: dict[str, object]) -> None:
    """Issuer, audience, expiry and subject are all required (None removes one) and must match."""
    secret = new_secret()
    good = jwt.decode(sign_token(secret, "", "HS256"), options={"verify_signature": False})
    token_claims = {name: value for name, value in {**good, **claims}.items() if value is not None}
    async with JwksVerifier(ISSUER, audience=AUDIENCE, shared_secret=secret) as verifier:
        assert await verifier.verify(jwt.encode(good, secret, algorithm="HS256"))
        with pytest.raises(Unauthenticated):
            await verifier.verify(jwt.encode(token_claims, secret, algorithm="HS256"))


async def test_organization_and_role_come_from_our_tables(runtime: Runtime) -> None:
    """The claims of a token about them are ignored, and an unknown user is refused."""
    actor = await factories.organization(runtime, role=Role.VIEWER)
    async with publishing() as issuer:
        key, public = ec_key("one")
        issuer.keys = [public]
        settings = with_settings(runtime, auth={"issuer": ISSUER, "jwks_url": issuer.url}).settings
        async with running(settings) as federated, served(federated) as server:
            metadata = {"role": "owner", "organization_id": str(new_id())}
            token = sign_token(key, "one", sub=str(actor.user_id), user_metadata=metadata, role="owner")
            data = await ApiClient(server.url, token).execute("{ viewer { role organization { id } } }")
            assert data["viewer"]["role"] == "VIEWER"
            for unknown in ({}, {"sub": "auth0|nobody"}):
                reply = await ApiClient(server.url, sign_token(key, "one", **unknown)).send("{ viewer { id } }")
                assert reply.codes == ["UNAUTHENTICATED"]
            own = await ApiClient(server.url, factories.token(runtime, actor)).send("{ viewer { id } }")
            assert own.codes == ["UNAUTHENTICATED"]
            for mutation in ELSEWHERE:
                assert (await ApiClient(server.url, token).send(f"mutation {{ {mutation} }}")).codes == ["FORBIDDEN"]
