"""URLs in settings: which are accepted, and the messages for the others."""

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from core import urls
from core.access.settings import AuthSettings
from core.configuration import Environment, InvalidSettings
from settings import Settings, load, require
from tests.conftest import Servers, settings_for


@pytest.mark.parametrize("name", ["access_token_seconds", "refresh_token_days"])
def test_a_token_lives_for_a_second_or_a_day_at_least(name: str) -> None:
    """One is accepted; with none, every session would have ended at log-in."""
    assert getattr(AuthSettings.model_validate({name: 1}), name) == 1
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        AuthSettings.model_validate({name: 0})


def production(servers: Servers, public_url: str | None) -> Settings:
    """Settings of a production with this public URL."""
    document = settings_for(servers, "any").model_dump()
    document |= {"environment": Environment.PRODUCTION, "api": {"public_url": public_url}}
    document["postmark"] = {**document["postmark"], "sender": "news@example.org"}
    return load(_env_file=None, **document)


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("postgresql://u:p@db:5432/nudge", "postgresql+asyncpg://u:p@db:5432/nudge"),
        ("postgres://u@db/nudge", "postgresql+asyncpg://u@db/nudge"),
        ("postgresql+asyncpg://u:p%40@db/nudge?ssl=require", "postgresql+asyncpg://u:p%40@db/nudge?sslmode=require"),
        (
            "postgresql://u:p@db/nudge?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgresql+asyncpg://u:p@db/nudge?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem",
        ),
        ("postgresql://u:p@one:5432,two:5433/nudge", "postgresql+asyncpg://u:p@one:5432,two:5433/nudge"),
        ("postgresql:///nudge?host=/run/postgresql", "postgresql+asyncpg:///nudge?host=%2Frun%2Fpostgresql"),
    ],
)
def test_database_urls(url: str, accepted: str) -> None:
    """All common forms, with libpq's options, are converted to one form."""
    assert urls.database_url(SecretStr(url)).get_secret_value() == accepted


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@db/nudge", "must be like postgresql://"),
        ("db.example:5432", "must be like postgresql://"),
        ("postgresql://u:sec/ret@db/nudge", "as %40"),
        ("postgresql://u:12/secret@db/nudge", "as %40"),
        ("postgresql://u:se@cret@db/nudge", "as %40"),
        ("postgresql://u:secret#@db/nudge", "as %40"),
        ("postgresql://u:secret?@db/nudge", "as %40"),
        ("postgresql://u:secret@db:port/nudge", "must be like postgresql://"),
        ("postgresql://u:secret@db/nudge?channel_binding=require", "'channel_binding', which is not supported"),
    ],
)
def test_database_urls_that_are_refused(url: str, message: str) -> None:
    """A URL that cannot be parsed is refused, without any part of the password in the message."""
    with pytest.raises(ValueError, match=message) as raised:
        urls.database_url(SecretStr(url))
    assert "sec" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://cache", "redis://:se/cret@cache:6379", "redis://cache:x", "redis://cache/first"]
)
def test_redis_urls_that_are_refused(url: str) -> None:
    """Another scheme, an unescaped password, a port or a database that is not a number."""
    with pytest.raises(ValueError, match="must be like redis://") as raised:
        urls.redis_url(SecretStr(url))
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://mail.example.org", "https://mail.example.org"),
        ("https://mail.example.org/", "https://mail.example.org"),
        ("HTTPS://mail.example.org:8443", "https://mail.example.org:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
    ],
)
def test_public_urls(servers: Servers, url: str, accepted: str) -> None:
    """An https URL of a host with an optional port; a final slash is removed."""
    settings = production(servers, url)
    require(settings)
    assert settings.public_url == accepted


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://mail.example.org", "must start with https:// in production.*one-click"),
        ("HTTP://mail.example.org", "must start with https:// in production"),
        ("mail.example.org", "must be like https://mail.example.org"),
        ("ftp://mail.example.org", "must be like https://mail.example.org"),
        ("https://", "must name a host"),
        ("https:///u", "must name a host"),
        ("https://mail example.org", "must be like"),
        ("https://mail.example.org\n", "must be like"),
        ("https://bücher.example", "must name a host in ASCII"),
        ("https://mail.example.org:99999", "must be like"),
        ("https://mail.example.org:port", "must be like"),
        ("https://mail.example.org/news", "under no path"),
        ("https://mail.example.org//", "under no path"),
        ("https://mail.example.org?a=1", "a scheme and a host alone"),
        ("https://mail.example.org/#top", "must be like"),
        ("https://user@mail.example.org", "a scheme and a host alone"),
        ("https://[::1", "must be like"),
    ],
)
def test_public_urls_that_are_refused(servers: Servers, url: str, message: str) -> None:
    """URLs that would make links in e-mail insecure, broken or wrong; the message names the variable."""
    with pytest.raises(InvalidSettings, match=f"NUDGE_API__PUBLIC_URL: .*{message}"):
        require(production(servers, url))


def test_development_may_use_plain_http(servers: Servers) -> None:
    """A developer's machine has no certificate."""
    document = settings_for(servers, "any").model_dump()
    document["api"] = {"public_url": "http://127.0.0.1:8200"}
    require(load(_env_file=None, **document))


@pytest.mark.parametrize("path", ["", "/nudge", "/na%20me"])
def test_locations_have_no_password(path: str) -> None:
    """The location of a URL has its user, host and path."""
    url = f"postgresql+asyncpg://someone:p%40ss@db.example:5432{path}"
    assert urls.location(url) == f"someone@db.example:5432{path}"
    assert urls.database_name(url) == make_url(url.replace("%20", " ")).database
