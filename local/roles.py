"""The database's roles: who owns, who serves, and in whose name the cross-tenant functions run."""

import asyncpg

DATABASE = "nudge"


async def create_roles(admin_url: str, *, migrator_password: str, app_password: str) -> None:
    """Create the roles, or set their passwords and attributes again where they exist.

    `nudge_migrator` owns, `nudge_app` serves under Row Level Security, `nudge_definer` owns the few functions that
    look across tenants and never logs in; the migrator may become it (SET ROLE) and inherits nothing from it.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            # Two test sessions on one server: roles belong to the server, not to a database.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('nudge roles'))")
            await _ensure_role(connection, "nudge_definer", "NOLOGIN")
            await _ensure_role(connection, "nudge_migrator", f"LOGIN PASSWORD {_quoted(migrator_password)}")
            await _ensure_role(connection, "nudge_app", f"LOGIN PASSWORD {_quoted(app_password)}")
            # Short statements over a few rows: compiling them takes longer than running them.
            await connection.execute("ALTER ROLE nudge_app SET jit = off")
            await connection.execute("GRANT nudge_definer TO nudge_migrator WITH INHERIT FALSE, SET TRUE")
    finally:
        await connection.close()


async def create_database(admin_url: str, name: str = DATABASE) -> None:
    """Create the migrator's database where missing, and close it and its schema to everyone else."""
    connection = await asyncpg.connect(admin_url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}" OWNER nudge_migrator')
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO nudge_app')
        await connection.execute(f'GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "{name}" TO nudge_migrator')
    finally:
        await connection.close()
    await grant_schema(admin_url, name)


async def grant_schema(admin_url: str, name: str = DATABASE) -> None:
    """Say who may use and who may create in the schema `public`; table grants are the migrations' business."""
    connection = await asyncpg.connect(admin_url, database=name)
    try:
        await connection.execute(
            """
            REVOKE ALL ON SCHEMA public FROM PUBLIC;
            GRANT USAGE, CREATE ON SCHEMA public TO nudge_migrator;
            -- The owner of a function must be able to create in its schema; nobody logs in as this role.
            GRANT USAGE, CREATE ON SCHEMA public TO nudge_definer;
            GRANT USAGE ON SCHEMA public TO nudge_app;
            """
        )
    finally:
        await connection.close()


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", name: str, attributes: str) -> None:
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if exists else "CREATE"
    await connection.execute(
        f"{verb} ROLE {name} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION {attributes}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
