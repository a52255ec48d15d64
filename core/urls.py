"""The addresses among the settings: what makes one usable, and in which words a bad one is refused.

No message repeats the address: a password that was not written as a URL wants it could stand anywhere in it.
"""

import re
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import SecretStr

ESCAPED = "characters such as @ : / ? # % in a password are written as %40 %3A %2F %3F %23 %25"
DATABASE_EXAMPLE = f"must be like postgresql://user:password@host:5432/database; {ESCAPED}"
REDIS_EXAMPLE = f"must be like redis://:password@host:6379/0, whose path is the number of a database; {ESCAPED}"
PUBLIC_EXAMPLE = "must be like https://mail.example.org"
DATABASE_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}
# What asyncpg takes from a URL; it would send anything else to the server as one of its settings.
DATABASE_OPTIONS = {
    *("host", "port", "user", "password", "passfile", "database", "dbname", "application_name", "options"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
}
HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")


def database_url(value: SecretStr) -> SecretStr:
    """A PostgreSQL URL, as SQLAlchemy takes it with asyncpg; `postgresql://` alone means the same.

    `ssl` is another word for libpq's `sslmode`.
    """
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        raise ValueError(DATABASE_EXAMPLE)
    require_parts(f"{scheme}://{rest}", DATABASE_EXAMPLE)
    address, _, query = rest.partition("?")
    options = [("sslmode" if name == "ssl" else name, text) for name, text in parse_qsl(query)]
    for name, _ in options:
        if name not in DATABASE_OPTIONS:
            raise ValueError(f"has the option {name!r}, which is not supported: remove it from the URL")
    return SecretStr(f"postgresql+asyncpg://{address}{'?' if options else ''}{urlencode(options)}")


def redis_url(value: SecretStr) -> SecretStr:
    """A Redis or Valkey URL; with `rediss` it is reached over TLS."""
    url = value.get_secret_value()
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError(REDIS_EXAMPLE)
    require_parts(url, REDIS_EXAMPLE)
    database = urlsplit(url).path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(REDIS_EXAMPLE)
    return value


def public_url(value: str) -> str:
    """An http or https URL of a host, and of a port if need be; without the slash at its end."""
    require_parts(value, PUBLIC_EXAMPLE)
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


def require_parts(url: str, example: str) -> None:
    """Raise `ValueError` where a URL cannot be told into its parts, as with a password that is not escaped."""
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several hosts, each with a port
            _ = parts.port
    except ValueError:
        raise ValueError(example) from None
    if "@" in parts.netloc.rpartition("@")[0] or "@" in parts.path or parts.fragment:
        raise ValueError(example)


def dsn(url: str) -> str:
    """The database's URL as asyncpg itself takes it, with all its options."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def database_name(url: str) -> str | None:
    """The database that a URL names in its path."""
    return unquote(urlsplit(url).path.strip("/")) or None


def location(url: str) -> str:
    """Where a URL leads, without its password: `nudge_app@db.example:5432/nudge`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "the local socket"
    user = f"{parts.username}@" if parts.username else ""
    return f"{user}{host}{parts.path}"
