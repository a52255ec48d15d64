"""`nudge roles create`: reads the wanted roles from URLs, and reports the steps and the URLs with new passwords."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from local.folder import LocalError
from local.roles import APP, DATABASE, MIGRATOR, other_databases, provision

# The role in the URL of each setting: migrations grant privileges to these names.
ROLES = {"url": APP, "migrator_url": MIGRATOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The name of the database, and the given passwords by role."""

    database: str
    passwords: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The lines of the report, and the URLs to set by the name of their setting."""

    report: list[str]
    urls: dict[str, str] = field(repr=False)


def wanted(*, app_url: str | None, migrator_url: str | None) -> Wanted:
    """Read the wanted database and passwords from the URLs that are set.

    Raises `LocalError` if a URL has another role, or if the two have different databases.
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


async def run(admin_url: str, target: Wanted, *, renew: bool) -> Result:
    """Create or repair the roles and the database. Raises `LocalError`, and errors of the server."""
    address = admin_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    provisioned = await provision(address, database=target.database, passwords=target.passwords, renew=renew)
    other_names = await other_databases(address, target.database)
    report = [f"{step[0].upper()}{step[1:]}." for step in provisioned.steps]
    if other_names:
        revokes = " ".join(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;" for name in other_names)
        report.append(
            f"Note: {APP} may also connect to {', '.join(other_names)}, like every role (PUBLIC). "
            f"To prevent it, an administrator runs: {revokes}"
        )
    urls = {
        name: _url(address, role, provisioned.generated[role], target.database)
        for name, role in ROLES.items()
        if role in provisioned.generated
    }
    if urls:
        report.append("Generated passwords; keep these lines, they are not shown again:")
    return Result(report=report, urls=urls)


def _url(admin_url: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(admin_url)
    hosts = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password}@{hosts}", path=f"/{quote(database)}").geturl()
