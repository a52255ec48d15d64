"""`nudge roles create`: what the URLs ask for, what was done, and the URLs with the passwords that were made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from local.folder import LocalError
from local.roles import APP, DATABASE, MIGRATOR, other_databases, provision

# The role that each URL among the settings must name, as the migrations grant to these names.
ROLES = {"url": APP, "migrator_url": MIGRATOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The database to make, and the passwords that are given, by role."""

    database: str
    passwords: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What to say, line by line, and the URLs to set, by the name of their setting."""

    said: list[str]
    urls: dict[str, str] = field(repr=False)


def wanted(*, app_url: str | None, migrator_url: str | None) -> Wanted:
    """What the URLs that are set ask for.

    Raises `LocalError` where one names another role, or the two name different databases.
    """
    passwords, databases = {}, set()
    for name, url in (("url", app_url), ("migrator_url", migrator_url)):
        if url is None:
            continue
        parts = urlsplit(url)
        if unquote(parts.username or "") != ROLES[name]:
            raise LocalError(f"NUDGE_DATABASE__{name.upper()} must name the role {ROLES[name]}")
        if parts.password:
            passwords[ROLES[name]] = unquote(parts.password)
        databases.add(unquote(parts.path.strip("/")) or DATABASE)
    if len(databases) > 1:
        raise LocalError(f"the two database URLs name different databases: {' and '.join(sorted(databases))}")
    return Wanted(database=next(iter(databases), DATABASE), passwords=passwords)


async def run(admin_url: str, asked: Wanted, *, renew: bool) -> Done:
    """Make or mend the roles and the database. Raises `LocalError`, and what the server refuses."""
    address = admin_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    done = await provision(address, database=asked.database, passwords=asked.passwords, renew=renew)
    others = await other_databases(address, asked.database)
    said = [f"{step[0].upper()}{step[1:]}." for step in done.steps]
    if others:
        revokes = " ".join(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;" for name in others)
        said.append(
            f"Note: {APP} may also connect to {', '.join(others)}, as everybody may there. "
            f"An administrator who wants it closed runs: {revokes}"
        )
    urls = {
        name: _url(address, role, done.made[role], asked.database)
        for name, role in ROLES.items()
        if role in done.made
    }
    if urls:
        said.append("Made passwords; keep these lines, they are not shown again:")
    return Done(said=said, urls=urls)


def _url(admin_url: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(admin_url)
    hosts = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password}@{hosts}", path=f"/{quote(database)}").geturl()
