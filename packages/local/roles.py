"""The database's roles: the owner of the tables, the app's role, and the owner of the cross-tenant functions.

Used by `nudge roles create`, `nudge dev` and the tests. The administrator need not be a superuser: CREATEROLE and
CREATEDB, which managed servers grant, are enough. All functions are idempotent.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from local.folder import LocalError

DATABASE = "nudge"
MIGRATOR, APP, DEFINER = "nudge_migrator", "nudge_app", "nudge_definer"
MIN_POSTGRES_VERSION = 180_000
SCRAM_ITERATIONS = 4_096
# The same encoding and sort order on every server, independent of its defaults.
LOCALE = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
# Attributes that our roles must not have, by column of pg_roles.
FORBIDDEN_ATTRIBUTES = {
    "rolsuper": "SUPERUSER",
    "rolbypassrls": "BYPASSRLS",
    "rolcreatedb": "CREATEDB",
    "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION",
}
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """The steps taken, one sentence each, and the generated passwords by role."""

    steps: list[str]
    generated: dict[str, str] = field(repr=False)


async def provision(
    admin_url: str, *, database: str = DATABASE, passwords: Mapping[str, str], renew: bool = False
) -> Provisioned:
    """Create the roles and the database, with their privileges.

    Args:
        admin_url: The administrator's URL of any database of the server.
        database: The product's database; created if missing.
        passwords: By role. Without one here, a new role gets a generated one, and an existing role keeps its own.
        renew: Generate a new password for existing roles as well, unless `passwords` has one.

    Raises:
        LocalError: the server is older than PostgreSQL 18, or a password has characters beyond ASCII.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        if connection.get_server_version().major * 10_000 < MIN_POSTGRES_VERSION:
            raise LocalError(f"PostgreSQL 18 is required; this server is {connection.get_server_version().major}")
        missing = [role for role in (MIGRATOR, APP) if renew or not await _exists(connection, role)]
    finally:
        await connection.close()
    generated = {role: secrets.token_hex(24) for role in missing if role not in passwords}
    all_passwords = {**passwords, **generated}
    steps = await create_roles(
        admin_url, migrator_password=all_passwords.get(MIGRATOR), app_password=all_passwords.get(APP)
    ) + await create_database(admin_url, database)
    return Provisioned(steps=steps, generated=generated)


async def create_roles(admin_url: str, *, migrator_password: str | None, app_password: str | None) -> list[str]:
    """Create the roles, or set the attributes and given passwords of existing ones; returns the steps taken.

    `nudge_migrator` owns the tables, `nudge_app` serves under Row Level Security, `nudge_definer` owns the few
    functions that see all tenants and cannot log in; the migrator may SET ROLE to it and inherits nothing from it.
    """
    steps: list[str] = []
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            # Against concurrent calls: roles belong to the server, not to a database.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('nudge roles'))")
            await _ensure_role(connection, DEFINER, None, steps, login=False)
            await _ensure_role(connection, MIGRATOR, migrator_password, steps, login=True)
            await _ensure_role(connection, APP, app_password, steps, login=True)
            # Short statements over a few rows: compiling them takes longer than running them.
            if not await connection.fetchval(
                "SELECT coalesce('jit=off' = ANY(rolconfig), false) FROM pg_roles WHERE rolname = $1", APP
            ):
                await connection.execute(f"ALTER ROLE {APP} SET jit = off")
                steps.append(f"set jit = off for {APP}")
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_auth_members WHERE roleid = $1::regrole AND member = $2::regrole "
                "AND set_option AND NOT inherit_option)",
                DEFINER,
                MIGRATOR,
            ):
                await connection.execute(f"GRANT {DEFINER} TO {MIGRATOR} WITH INHERIT FALSE, SET TRUE")
                steps.append(f"allowed {MIGRATOR} to SET ROLE {DEFINER}, without inheriting its privileges")
    finally:
        await connection.close()
    return steps


async def create_database(admin_url: str, name: str = DATABASE) -> list[str]:
    """Create the database if missing, and revoke the access of other roles; returns the steps taken."""
    steps: list[str] = []
    connection = await asyncpg.connect(admin_url)
    try:
        async with _member_of_migrator(connection):
            quoted = await connection.fetchval("SELECT quote_ident($1)", name)
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                await connection.execute(f"CREATE DATABASE {quoted} OWNER {MIGRATOR} {LOCALE}")
                steps.append(f"created the database {name}, owned by {MIGRATOR}")
            owner = await connection.fetchval(
                "SELECT datdba::regrole::text FROM pg_database WHERE datname = $1", name
            )
            encoding = await connection.fetchval(
                "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = $1", name
            )
            if encoding != "UTF8":
                raise LocalError(f"the database {name} exists with the encoding {encoding}; it must be UTF8")
            async with _acting_as(connection, owner):
                await connection.execute(f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC")
                await connection.execute(f"GRANT CONNECT ON DATABASE {quoted} TO {APP}")
                await connection.execute(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {quoted} TO {MIGRATOR}")
            await _grant_schema(admin_url, name, owner)
    finally:
        await connection.close()
    steps.append(f"restricted the database {name} to {MIGRATOR} and {APP}")
    return steps


async def other_databases(admin_url: str, name: str = DATABASE) -> list[str]:
    """Other databases that the app's role may connect to, through PUBLIC."""
    connection = await asyncpg.connect(admin_url)
    try:
        rows = await connection.fetch(
            "SELECT quote_ident(datname) FROM pg_database WHERE datallowconn AND datname <> $1 "
            "AND has_database_privilege($2, oid, 'CONNECT') ORDER BY 1",
            name,
            APP,
        )
    finally:
        await connection.close()
    return [row[0] for row in rows]


async def close_databases(admin_url: str, *names: str) -> None:
    """Revoke CONNECT on these databases from PUBLIC."""
    connection = await asyncpg.connect(admin_url)
    try:
        for name in names:
            await connection.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    finally:
        await connection.close()


def scram_verifier(password: str) -> str:
    """PostgreSQL's verifier of a password (SCRAM-SHA-256, RFC 5803): the server and its log never get the password.

    Raises `LocalError` for characters beyond ASCII, which clients normalize in different ways.
    """
    if not (password.isascii() and password.isprintable() and password):
        raise LocalError("a role's password must be of printable ASCII characters")
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"


async def _exists(connection: "Connection", role: str) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role))


async def _ensure_role(
    connection: "Connection", name: str, password: str | None, steps: list[str], *, login: bool
) -> None:
    row = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", name)
    may_login = "LOGIN" if login else "NOLOGIN"
    if row is None:
        await connection.execute(f"CREATE ROLE {name} {may_login}")
        steps.append(f"created the role {name} ({'may log in' if login else 'cannot log in'})")
    else:
        # Change only attributes that differ: only a superuser may name SUPERUSER at all, even as NOSUPERUSER.
        wrong = [f"NO{word}" for column, word in FORBIDDEN_ATTRIBUTES.items() if row[column]]
        wrong += [may_login] if row["rolcanlogin"] is not login else []
        if wrong:
            await connection.execute(f"ALTER ROLE {name} {' '.join(wrong)}")
            steps.append(f"altered the role {name}: {', '.join(wrong)}")
        elif password is None:
            steps.append(f"the role {name} exists{' and keeps its password' if login else ''}")
    if password is not None:
        await connection.execute(f"ALTER ROLE {name} PASSWORD '{scram_verifier(password)}'")
        steps.append(f"set the password of {name}")


async def _grant_schema(admin_url: str, name: str, database_owner: str) -> None:
    """Grant privileges on the schema `public`; privileges on tables are granted by migrations."""
    connection = await asyncpg.connect(admin_url, database=name)
    try:
        owner = await connection.fetchval("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'")
        async with _acting_as(connection, database_owner if owner == "pg_database_owner" else owner):
            await connection.execute(
                f"""
                REVOKE ALL ON SCHEMA public FROM PUBLIC;
                GRANT USAGE, CREATE ON SCHEMA public TO {MIGRATOR};
                -- The owner of a function must be able to create in its schema; this role cannot log in.
                GRANT USAGE, CREATE ON SCHEMA public TO {DEFINER};
                GRANT USAGE ON SCHEMA public TO {APP};
                """
            )
    finally:
        await connection.close()


@asynccontextmanager
async def _member_of_migrator(connection: "Connection") -> AsyncIterator[None]:
    # For an administrator who is not a superuser: only a member may create a database owned by the role, and connect.
    needed = not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    needed = needed and not await connection.fetchval("SELECT pg_has_role($1, 'USAGE')", MIGRATOR)
    if needed:
        await connection.execute(f"GRANT {MIGRATOR} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
    try:
        yield
    finally:
        if needed:
            await connection.execute(f"REVOKE {MIGRATOR} FROM CURRENT_USER")


@asynccontextmanager
async def _acting_as(connection: "Connection", owner: str) -> AsyncIterator[None]:
    # A superuser may grant privileges on objects of any owner.
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield
        return
    await connection.execute(f"SET ROLE {owner}")
    try:
        yield
    finally:
        await connection.execute("RESET ROLE")
