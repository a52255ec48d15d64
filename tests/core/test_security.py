"""Access tokens, and signed values in links."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.configuration import InvalidSettings
from core.errors import Unauthenticated
from core.ids import new_id
from core.security import AccessTokens, Signer, new_signing_key

USER, ORGANIZATION, SESSION = new_id(), new_id(), new_id()
TOKENS = AccessTokens(new_signing_key(), audience="here", lifetime_seconds=900)


def issue_token() -> str:
    """A valid token."""
    return TOKENS.issue(user_id=USER, organization_id=ORGANIZATION, session_id=SESSION)


def sign_token(**changes: object) -> str:
    """A token signed with our key, with some claims changed; None removes a claim."""
    claims: dict[str, Any] = jwt.decode(issue_token(), options={"verify_signature": False}) | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, TOKENS.key, "ES256")


def test_a_token_contains_the_session_and_its_expiry() -> None:
    """The claims of an issued token are read back, and it expires after the configured time."""
    claims = TOKENS.verify(issue_token())
    assert (claims.user_id, claims.organization_id, claims.session_id) == (USER, ORGANIZATION, SESSION)
    payload = jwt.decode(issue_token(), options={"verify_signature": False})
    assert payload["exp"] - payload["iat"] == 900
    assert claims.expires_at == pytest.approx(payload["exp"], abs=5)
    assert TOKENS.verify(sign_token()) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "elsewhere"},
        {"aud": None},
        *({name: None} for name in ("exp", "iat", "sub", "org", "session_id")),
        *({name: "nobody"} for name in ("sub", "org", "session_id")),
        {"exp": 1},
    ],
    ids=str,
)
def test_a_token_that_lacks_or_changes_a_claim_is_refused(changes: dict[str, object]) -> None:
    """Although it is signed with our key."""
    with pytest.raises(Unauthenticated):
        TOKENS.verify(sign_token(**changes))


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65_537, 2_048), None]
)
def test_the_signing_key_is_a_p256_key(key: EllipticCurvePrivateKey | RSAPrivateKey | None) -> None:
    """Any other key is an invalid setting; the error names the variable."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() if key else "nonsense"
    with pytest.raises(InvalidSettings, match=r"^NUDGE_AUTH__SIGNING_KEY: "):
        AccessTokens(pem, audience="here", lifetime_seconds=1)


@pytest.mark.parametrize("value", [b"", b"x", bytes(range(32))])
def test_a_signed_value_comes_back(value: bytes) -> None:
    """The token needs no escaping in a URL, and is invalid under another secret or for another purpose."""
    signer = Signer("s" * 32, "leave")
    token = signer.sign(value)
    assert signer.verify(token) == value
    assert token.isascii()
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert Signer("s" * 32, "confirm").verify(token) is None
    assert Signer("t" * 32, "leave").verify(token) is None


def test_a_signed_value_that_was_changed_is_none() -> None:
    """A changed or missing character makes it invalid; so is any other text."""
    signer = Signer("s" * 32, "leave")
    token = signer.sign(b"0123456789")
    others = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token) - 1)]
    for other in [*others, token[1:], token[:-2], "", "ü", "\x00", "a b"]:
        assert signer.verify(other) is None
