"""Types of settings with their own validation; their errors say what is valid."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from core import urls

MIN_SECRET_LENGTH = 32


def upper(value: object) -> object:
    """Upper-case a text."""
    return value.upper() if isinstance(value, str) else value


def long_secret(value: SecretStr) -> SecretStr:
    """Require a secret that is long enough; raises `ValueError`."""
    if len(value.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"must be at least {MIN_SECRET_LENGTH} characters; `nudge secrets` makes one")
    return value


def signing_key(value: SecretStr) -> SecretStr:
    r"""Require a private key in PEM, in which `\n` may stand for a line break; raises `ValueError`."""
    text = value.get_secret_value().replace("\\n", "\n")
    if "PRIVATE KEY-----" not in text:
        raise ValueError("must be an EC P-256 private key in PEM; `nudge secrets` makes one")
    return SecretStr(text)


Port = Annotated[int, Field(ge=1, le=65535)]
Home = Annotated[Path, AfterValidator(Path.expanduser)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(urls.database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(urls.redis_url)]
PublicUrl = Annotated[str, AfterValidator(urls.public_url)]
LongSecret = Annotated[SecretStr, AfterValidator(long_secret)]
SigningKey = Annotated[SecretStr, AfterValidator(signing_key)]
