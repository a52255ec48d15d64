"""Validation of URLs in settings.

No message repeats the URL: if a password in it is not escaped, any part of the URL may contain it.
"""

import re
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import SecretStr

ESCAPED = "in a password, write @ : / ? # % as %40 %3A %2F %3F %23 %25"
DATABASE_EXAMPLE = f"must be like postgresql://user:password@host:5432/database; {ESCAPED}"
REDIS_EXAMPLE = f"must be like redis://:password@host:6379/0, whose path is the number of a database; {ESCAPED}"
PUBLIC_EXAMPLE = "must be like https://mail.example.org"
DATABASE_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}
# The options that asyncpg itself reads; it would send any other to the server as a setting.
DATABASE_OPTIONS = {
    *("host", "port", "user", "password", "passfile", "database", "dbname", "application_name", "options"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
}
HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")


def database_url(value: SecretStr) -> SecretStr:
    """A PostgreSQL URL in SQLAlchemy's form for asyncpg; `postgresql://` and `postgres://` are accepted too.

    `ssl` is accepted for libpq's `sslmode`. Raises `ValueError`.
    """
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        raise ValueError(DATABASE_EXAMPLE)
    _require_parsable(f"{scheme}://{rest}", DATABASE_EXAMPLE)
    address, _, query = rest.partition("?")
    options = [("sslmode" if name == "ssl" else name, text) for name, text in parse_qsl(query)]
    for name, _ in options:
        if name not in DATABASE_OPTIONS:
            raise ValueError(f"has the option {name!r}, which is not supported: remove it from the URL")
    return SecretStr(f"postgresql+asyncpg://{address}{'?' if options else ''}{urlencode(options)}")


def redis_url(value: SecretStr) -> SecretStr:
    """A Redis or Valkey URL; `rediss` is with TLS. Raises `ValueError`."""
    url = value.get_secret_value()
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError(REDIS_EXAMPLE)
    _require_parsable(url, REDIS_EXAMPLE)
    database = urlsplit(url).path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(REDIS_EXAMPLE)
    return value


def public_url(value: str) -> str:
    """An http or https URL of a host with an optional port, without a final slash. Raises `ValueError`."""
    _require_parsable(value, PUBLIC_EXAMPLE)
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or any(character.isspace() for character in value):
        raise ValueError(PUBLIC_EXAMPLE)
    host = parts.netloc.rpartition("@")[2]
    name = re.sub(r":\d*$", "", host).lower()
    if not HOST.fullmatch(name):
        raise ValueError("must name a host in ASCII, like https://mail.example.org (any other name as xn--...)")
    if parts.username is not None or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError(
            "must be a scheme and a host alone, like https://mail.example.org: "
            "pages for recipients are at the root of a host, under no path"
        )
    return f"{parts.scheme}://{host}"


def _require_parsable(url: str, example: str) -> None:
    """Raise `ValueError` if a URL cannot be parsed, as with a password that is not escaped."""
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several hosts, each with a port
            _ = parts.port
    except ValueError:
        raise ValueError(example) from None
    if "@" in parts.netloc.rpartition("@")[0] or "@" in parts.path or parts.fragment:
        raise ValueError(example)


def dsn(url: str) -> str:
    """A database URL in asyncpg's form, with all options."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def database_name(url: str) -> str | None:
    """The database in the path of a URL, or None."""
    return unquote(urlsplit(url).path.strip("/")) or None


def location(url: str) -> str:
    """A URL without its password, for messages: `nudge_app@db.example:5432/nudge`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "the local socket"
    user = f"{parts.username}@" if parts.username else ""
    return f"{user}{host}{parts.path}"
