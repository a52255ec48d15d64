"""The types of settings that are more than a text or a number: each is checked, and its error says what fits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from core import urls

MIN_SECRET_LENGTH = 32


def upper(value: object) -> object:
    """A word in capitals, however it was written."""
    return value.upper() if isinstance(value, str) else value


def long_secret(value: SecretStr) -> SecretStr:
    """A secret that cannot be guessed."""
    if len(value.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"must be at least {MIN_SECRET_LENGTH} characters; `nudge secrets` makes one")
    return value


def signing_key(value: SecretStr) -> SecretStr:
    """A private key in PEM; a backslash and an n stand for a line end, as a variable may hold one line only."""
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
